package member

import "math"

// Grid is a series made fit to compute on: no gaps, nothing that is not finite or below zero.
type Grid struct {
	// Track holds the observations from the first one on, with gaps filled.
	*Track
	// Observed counts, for each value, the real observations before it; it is one longer.
	Observed []int32
	// Whole says that everything observed was a whole number, as a count is.
	Whole bool
}

// largest is the largest observation that is believed; beyond it sums lose their meaning.
const largest = 1e12

// Clean fills gaps between observations with straight lines, and carries the last
// observation to the end. What is missing, not finite or absurdly large is a gap; demand
// below zero is zero. The result is empty if nothing was observed.
func Clean(values []float64) Grid {
	first := 0
	for first < len(values) && !Believable(values[first]) {
		first++
	}
	n := len(values) - first
	g := Grid{Track: &Track{Values: make([]float64, n)}, Observed: make([]int32, n+1), Whole: n > 0}
	last := -1
	for i, value := range values[first:] {
		g.Observed[i+1] = g.Observed[i]
		if !Believable(value) {
			continue
		}
		g.Values[i] = math.Max(value, 0)
		g.Observed[i+1]++
		g.Whole = g.Whole && g.Values[i] == math.Trunc(g.Values[i])
		if last >= 0 {
			fill(g.Values, last, i)
		}
		last = i
	}
	for i := last + 1; i < n; i++ {
		g.Values[i] = g.Values[last]
	}
	g.Track = newTrack(g.Values)
	return g
}

// fill draws a straight line between two observations.
func fill(values []float64, from, to int) {
	slope := (values[to] - values[from]) / float64(to-from)
	for i := from + 1; i < to; i++ {
		values[i] = values[from] + slope*float64(i-from)
	}
}

// Believable says that a value is an observation, not a gap.
func Believable(value float64) bool {
	return !math.IsNaN(value) && math.Abs(value) <= largest
}
