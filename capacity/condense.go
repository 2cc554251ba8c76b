package capacity

import (
	"cmp"
	"slices"
	"time"
)

// Condense leaves of the paths what Plan looks at, the highest demands within its two windows, in
// order: a plan of what is left is the same, and it can be kept.
func Condense(demand Demand, limits Limits) Demand {
	windows := []time.Duration{limits.Window(), limits.spareWindow()}
	slices.Sort(windows)
	windows = slices.Compact(windows)
	short := Demand{Chunks: make([]ChunkDemand, len(demand.Chunks))}
	for i, chunk := range demand.Chunks {
		short.Chunks[i] = ChunkDemand{Now: chunk.Now, Policy: chunk.Policy, Declared: chunk.Declared, Known: chunk.Known, Diverted: chunk.Diverted, Horizon: windows}
		for _, path := range chunk.Paths {
			one := ChunkDemand{Now: chunk.Now, Horizon: chunk.Horizon, Paths: [][]float64{path}}
			row := make([]float64, len(windows))
			for k, window := range windows {
				row[k] = Peaks(one, window)[0]
			}
			short.Chunks[i].Paths = append(short.Chunks[i].Paths, row)
		}
		slices.SortFunc(short.Chunks[i].Paths, func(a, b []float64) int {
			return cmp.Or(cmp.Compare(a[len(a)-1], b[len(b)-1]), cmp.Compare(a[0], b[0]))
		})
	}
	return short
}
