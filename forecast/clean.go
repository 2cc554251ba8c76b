package forecast

import "math"

// grid is a series made fit to compute on: no gaps, nothing that is not finite or below zero.
type grid struct {
	// values are the observations from the first one on, with gaps filled.
	values []float64
	// observed counts, for each value, the real observations before it; it is one longer.
	observed []int
	// sums are the sums of the values before each value; it is one longer.
	sums []float64
	// whole says that everything observed was a whole number, as a count is.
	whole bool
}

// largest is the largest observation that is believed; beyond it sums lose their meaning.
const largest = 1e12

// clean fills gaps between observations with straight lines, and carries the last
// observation to the end. What is missing, not finite or absurdly large is a gap; demand
// below zero is zero. The result is empty if nothing was observed.
func clean(values []float64) grid {
	first := 0
	for first < len(values) && !believable(values[first]) {
		first++
	}
	n := len(values) - first
	g := grid{values: make([]float64, n), observed: make([]int, n+1), sums: make([]float64, n+1), whole: n > 0}
	last := -1
	for i, value := range values[first:] {
		g.observed[i+1] = g.observed[i]
		if !believable(value) {
			continue
		}
		g.values[i] = math.Max(value, 0)
		g.observed[i+1]++
		g.whole = g.whole && g.values[i] == math.Trunc(g.values[i])
		if last >= 0 {
			fill(g.values, last, i)
		}
		last = i
	}
	for i := last + 1; i < n; i++ {
		g.values[i] = g.values[last]
	}
	for i, value := range g.values {
		g.sums[i+1] = g.sums[i] + value
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

func believable(value float64) bool {
	return !math.IsNaN(value) && math.Abs(value) <= largest
}

// mean is that of the values from a first to a last one, both included and both within the grid.
func (g grid) mean(first, last int) float64 {
	return (g.sums[last+1] - g.sums[first]) / float64(last+1-first)
}
