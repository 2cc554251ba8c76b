package capacity

import "math"

// Coming is demand of one namespace whose start is known, and which has no pods yet.
type Coming struct {
	Namespace string
	// Chunk is the index of the chunk that it counts for, and Amount how many chunks it is.
	Chunk  int
	Amount float64
}

// Allowance is what may be kept for a namespace, in units of the pool's resource; nil for any amount.
type Allowance func(namespace string) *float64

// Known sums what comes per chunk. Of no namespace does more count than it is allowed, nor more than
// share of all that the chunks may hold by their max, so that nobody makes a pool buy much by what he
// announces. What comes first in the order given counts first. sizes are units per chunk.
func Known(coming []Coming, chunks []Chunk, sizes []int64, share float64, allowed Allowance) []float64 {
	all := 0.0
	for i, chunk := range chunks {
		all += float64(chunk.Max * sizes[i])
	}
	left := map[string]float64{}
	known := make([]float64, len(chunks))
	for _, c := range coming {
		if _, seen := left[c.Namespace]; !seen {
			left[c.Namespace] = share * all
			if most := allowed(c.Namespace); most != nil {
				left[c.Namespace] = min(left[c.Namespace], max(*most, 0))
			}
		}
		amount := c.Amount
		if most := left[c.Namespace] / float64(sizes[c.Chunk]); most < amount {
			amount = math.Floor(most) // a part of a chunk would be rounded up to all of it
		}
		known[c.Chunk] += amount
		left[c.Namespace] -= amount * float64(sizes[c.Chunk])
	}
	return known
}
