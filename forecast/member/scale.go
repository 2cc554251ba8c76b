package member

import "math"

// scale is a view of the series on which a model computes: plain, or logarithmic, where a
// factor becomes a difference and a spike weighs less.
type scale struct {
	*Track
	// offset is added before the logarithm is taken; zero for the plain scale.
	offset float64
}

// Track is values with their sums, so that a mean over any span costs the same.
type Track struct {
	// Values are what was observed, oldest first.
	Values []float64
	sums   []float64
}

func newTrack(values []float64) *Track {
	t := &Track{Values: values, sums: make([]float64, len(values)+1)}
	for i, value := range values {
		t.sums[i+1] = t.sums[i] + value
	}
	return t
}

// push appends a newer value.
func (t *Track) push(value float64) {
	t.Values = append(t.Values, value)
	t.sums = append(t.sums, t.sums[len(t.sums)-1]+value)
}

// Mean is that of the values from a first to a last one, both included. What lies before the
// first value is left out; at least one value counts.
func (t *Track) Mean(first, last int) float64 {
	last = max(last, 0)
	first = min(max(first, 0), last)
	return (t.sums[last+1] - t.sums[first]) / float64(last+1-first)
}

// OffsetOfMean is the offset of the logarithmic scale as a share of the mean: small enough
// that factors show, large enough that a fall to zero is no chasm.
const OffsetOfMean = 0.1

func (g Grid) plain() scale { return scale{Track: g.Track} }

// logarithmic is the logarithmic view; of all zeros, the plain one.
func (g Grid) logarithmic() scale {
	offset := OffsetOfMean * g.Mean(0, len(g.Values)-1)
	if offset <= 0 {
		return g.plain()
	}
	s := scale{offset: offset}
	values := make([]float64, len(g.Values))
	for i, value := range g.Values {
		values[i] = s.to(value)
	}
	s.Track = newTrack(values)
	return s
}

// to converts demand into a value of the scale.
func (s scale) to(demand float64) float64 {
	if s.offset == 0 {
		return demand
	}
	return math.Log(demand + s.offset)
}

// back converts a value of the scale into demand.
func (s scale) back(value float64) float64 {
	if s.offset == 0 {
		return value
	}
	return math.Exp(value) - s.offset
}

// tiny keeps a division by zero from happening.
const tiny = 1e-9
