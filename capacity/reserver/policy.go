package reserver

import (
	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/room"
	"forewarm.dev/forecast"
)

// modelOf answers about the past as the pool's forecasts were made; nil is Auto.
func modelOf(pool *v1alpha1.WarmPool) forecast.Model {
	if forecast.Source(pool.Spec.Forecast.Model) == forecast.SourceCombined {
		return forecast.Combined{}
	}
	return nil
}

// setNodes counts how many chunks an empty node of the pool takes, beside its DaemonSets: the
// fewest, where nodes differ. While there is no node, what the last ones took counts. It also sets
// what idling costs by the prices of the nodes.
func (r *Reserver) setNodes(w world, pool *v1alpha1.WarmPool, seen *sight) {
	nodes := make([]price.Node, 0, len(seen.nodes))
	for _, node := range seen.nodes {
		nodes = append(nodes, price.Node{Node: node, Room: room.Empty(w.Snapshot, node)})
	}
	for i := range seen.limits.Chunks {
		chunk := &seen.limits.Chunks[i]
		for _, node := range nodes {
			if n := chunk.Requests.CountIn(node.Room); n > 0 && (chunk.PerNode == 0 || n < chunk.PerNode) {
				chunk.PerNode = n
			}
		}
		for _, row := range pool.Status.Chunks {
			if row.Name == chunk.Name && chunk.PerNode == 0 {
				chunk.PerNode = int64(row.PerNode)
			}
		}
	}
	seen.prices, seen.unpriced = r.options.Prices.Set(pool, nodes, seen.limits.Chunks)
}
