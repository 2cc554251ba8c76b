package forecast

import "math"

// grid is a series made fit to compute on: no gaps, nothing that is not finite or below zero.
type grid struct {
	// track holds the observations from the first one on, with gaps filled.
	*track
	// observed counts, for each value, the real observations before it; it is one longer.
	observed []int32
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
	g := grid{track: &track{values: make([]float64, n)}, observed: make([]int32, n+1), whole: n > 0}
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
	g.track = newTrack(g.values)
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
