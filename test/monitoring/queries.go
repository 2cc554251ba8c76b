package monitoring

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Query is one question of a panel.
type Query struct{ Panel, Ref, Expr string }

// Queries are those of the panels of a dashboard's file.
func Queries(dashboard []byte) ([]Query, error) {
	var board struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				RefID string `json:"refId"`
				Expr  string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(dashboard, &board); err != nil {
		return nil, fmt.Errorf("read dashboard: %w", err)
	}
	var queries []Query
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries = append(queries, Query{p.Title, target.RefID, target.Expr})
		}
	}
	return queries, nil
}

// Fill puts in for Grafana's variables what it would for all pools and a range of time.
func Fill(expr, within string) string {
	return strings.NewReplacer("$__rate_interval", within, "$__range", within, "$pool", ".*").Replace(expr)
}
