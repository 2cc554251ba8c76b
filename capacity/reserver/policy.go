package reserver

import (
	"strconv"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/internal/quantity"
)

// modelOf answers about the past as the pool's forecasts were made; nil is Auto.
func modelOf(pool *v1alpha1.WarmPool) forecast.Model {
	if forecast.Source(pool.Spec.Forecast.Model) == forecast.SourceCombined {
		return forecast.Combined{}
	}
	return nil
}

// number reads a decimal number that validation has let pass; what is none is zero.
func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return value
}

// setPerNode counts how many chunks an empty node of the pool takes, beside its DaemonSets: the
// fewest, where nodes differ. While there is no node, what the last ones took counts.
func setPerNode(w world, pool *v1alpha1.WarmPool, seen *sight) {
	rooms := make([]quantity.Vector, 0, len(seen.nodes))
	for _, node := range seen.nodes {
		rooms = append(rooms, w.emptyRoom(node))
	}
	for i := range seen.limits.Chunks {
		chunk := &seen.limits.Chunks[i]
		for _, room := range rooms {
			if n := chunk.Requests.CountIn(room); n > 0 && (chunk.PerNode == 0 || n < chunk.PerNode) {
				chunk.PerNode = n
			}
		}
		for _, row := range pool.Status.Chunks {
			if row.Name == chunk.Name && chunk.PerNode == 0 {
				chunk.PerNode = int64(row.PerNode)
			}
		}
	}
}
