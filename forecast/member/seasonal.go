package member

import "math"

// Indices are how far the slots of a season stand from its trend, by classical decomposition:
// factors, or addends where demand touches zero and no factor is defined.
type Indices struct {
	// slots are the indices, from that of the first value on; empty if there is no season.
	slots []float64
	// added says that the indices are addends.
	added bool
}

const (
	// seasonalQuantile is the 95 % quantile of the normal distribution.
	seasonalQuantile = 1.645
	// fewestTested is how many seasons the test of a season needs.
	fewestTested = 3
)

// IndicesOf are those of a season, in steps, if it passes the test that the benchmarks of the M4
// competition use.
func IndicesOf(g Grid, season int) Indices {
	if len(g.Values) < fewestTested*season || !g.isSeasonal(season) {
		return Indices{}
	}
	return g.decompose(season)
}

// isSeasonal says that the autocorrelation a season back is beyond what chance would give,
// given the autocorrelations before it (Bartlett's formula).
func (g Grid) isSeasonal(season int) bool {
	mean := g.Mean(0, len(g.Values)-1)
	apart := make([]float64, len(g.Values))
	variance := 0.0
	for i, value := range g.Values {
		apart[i] = value - mean
		variance += apart[i] * apart[i]
	}
	if variance == 0 {
		return false
	}
	correlation, before := 0.0, 1.0
	for lag := 1; lag <= season; lag++ {
		before += 2 * correlation * correlation
		correlation = 0
		for i, value := range apart[lag:] {
			correlation += value * apart[i]
		}
		correlation /= variance
	}
	return math.Abs(correlation) > seasonalQuantile*math.Sqrt(before/float64(len(g.Values)))
}

// decompose averages, per slot, the ratio or difference of the values to their centred moving
// average, and scales the averages so that together they neither raise nor lower demand.
func (g Grid) decompose(season int) Indices {
	x := Indices{slots: make([]float64, season)}
	for _, value := range g.Values {
		x.added = x.added || value <= 0
	}
	first, end := season/2, len(g.Values)-season/2
	for i := first; i < end; i++ {
		trend := g.Mean(i-(season-1)/2, i+season/2)
		if season%2 == 0 {
			trend = (trend + g.Mean(i-season/2, i+season/2-1)) / 2
		}
		x.slots[i%season] += x.without(g.Values[i], trend)
	}
	mean := 0.0
	for slot := range x.slots {
		seen := (end-1-slot)/season - (first-1-slot+season)/season + 1
		x.slots[slot] /= float64(seen)
		mean += x.slots[slot] / float64(season)
	}
	for slot, index := range x.slots {
		x.slots[slot] = x.without(index, mean)
	}
	return x
}

// without takes an index out of a value.
func (x Indices) without(value, index float64) float64 {
	if x.added {
		return value - index
	}
	return value / index
}

// Adjust are the values without their season, in the room of a buffer if that suffices.
func (x Indices) Adjust(buffer, values []float64) []float64 {
	adjusted := append(buffer[:0], values...)
	for i, value := range values {
		adjusted[i] = x.take(value, i)
	}
	return adjusted
}

// take takes the season of a slot out of a value.
func (x Indices) take(value float64, at int) float64 {
	if len(x.slots) == 0 {
		return value
	}
	return x.without(value, x.slots[at%len(x.slots)])
}

// Restore puts the season of a slot back into an adjusted value.
func (x Indices) Restore(adjusted float64, at int) float64 {
	switch {
	case len(x.slots) == 0:
		return adjusted
	case x.added:
		return adjusted + x.slots[at%len(x.slots)]
	default:
		return adjusted * x.slots[at%len(x.slots)]
	}
}
