package forecast

import "math"

// grid is a series made fit to compute on: no gaps, no infinities.
type grid struct {
	// values are the observations, gaps filled by straight lines, from the first observation on.
	values []float64
	// seen tells which values were observed.
	seen []bool
	// floor is the lowest value that a forecast may take: zero, unless the series has been below.
	floor float64
}

// clean fills the gaps of a series. Values before the first observation are dropped, and
// the last observation is carried to the end. The result is empty if nothing was observed.
func clean(values []float64) grid {
	first := 0
	for first < len(values) && !finite(values[first]) {
		first++
	}
	g := grid{values: make([]float64, len(values)-first), seen: make([]bool, len(values)-first)}
	last := -1
	for i, value := range values[first:] {
		if !finite(value) {
			continue
		}
		g.values[i], g.seen[i] = value, true
		g.floor = math.Min(g.floor, value)
		if last >= 0 {
			fill(g.values, last, i)
		}
		last = i
	}
	for i := last + 1; last >= 0 && i < len(g.values); i++ {
		g.values[i] = g.values[last]
	}
	if g.floor < 0 {
		g.floor = math.Inf(-1)
	}
	return g
}

// fill draws a straight line between two observations.
func fill(values []float64, from, to int) {
	slope := (values[to] - values[from]) / float64(to-from)
	for i := from + 1; i < to; i++ {
		values[i] = values[from] + slope*float64(i-from)
	}
}

func finite(value float64) bool {
	return !math.IsNaN(value) && math.Abs(value) <= largest
}

// largest is the largest observation that is believed; beyond it sums would lose their meaning.
const largest = 1e15
