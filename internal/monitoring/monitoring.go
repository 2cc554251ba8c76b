// Package monitoring makes the files by which Forewarm is watched: Grafana dashboards, and the
// rules of manifests/monitoring/rules.yaml as the Prometheus Operator takes them.
package monitoring

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// Files are the contents by path, below manifests/monitoring. rules are the contents of rules.yaml.
func Files(rules []byte) (map[string][]byte, error) {
	files := map[string][]byte{}
	var err error
	if files["prometheusrule.yaml"], err = prometheusRule(rules); err != nil {
		return nil, err
	}
	boards, err := dashboards()
	if err != nil {
		return nil, err
	}
	for _, board := range boards {
		text, err := json.MarshalIndent(board, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write dashboard %s: %w", *board.Title, err)
		}
		files[filepath.Join("dashboards", *board.Uid+".json")] = append(text, '\n')
	}
	return files, nil
}

// prometheusRule is rules as an object of the Prometheus Operator.
func prometheusRule(rules []byte) ([]byte, error) {
	var spec map[string]any
	if err := yaml.Unmarshal(rules, &spec); err != nil {
		return nil, fmt.Errorf("read rules.yaml: %w", err)
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "spec": spec,
		"metadata": map[string]any{
			"name": "forewarm", "namespace": "forewarm-system", "labels": map[string]any{"app.kubernetes.io/part-of": "forewarm"},
		},
	})
	return append([]byte("# Made from rules.yaml by make generate.\n"), text...), err
}
