package forecast

import "math"

// scale is a view of the series on which a model computes: plain, or logarithmic, where a
// factor becomes a difference and a spike weighs less.
type scale struct {
	*track
	// offset is added before the logarithm is taken; zero for the plain scale.
	offset float64
}

// track is values with their sums, so that a mean over any span costs the same.
type track struct {
	values, sums []float64
}

func newTrack(values []float64) *track {
	t := &track{values: values, sums: make([]float64, len(values)+1)}
	for i, value := range values {
		t.sums[i+1] = t.sums[i] + value
	}
	return t
}

// push appends a newer value.
func (t *track) push(value float64) {
	t.values = append(t.values, value)
	t.sums = append(t.sums, t.sums[len(t.sums)-1]+value)
}

// mean is that of the values from a first to a last one, both included. What lies before the
// first value is left out; at least one value counts.
func (t *track) mean(first, last int) float64 {
	last = max(last, 0)
	first = min(max(first, 0), last)
	return (t.sums[last+1] - t.sums[first]) / float64(last+1-first)
}

// offsetOfMean is the offset of the logarithmic scale as a share of the mean: small enough
// that factors show, large enough that a fall to zero is no chasm.
const offsetOfMean = 0.1

func (g grid) plain() scale { return scale{track: g.track} }

// logarithmic is the logarithmic view; of all zeros, the plain one.
func (g grid) logarithmic() scale {
	offset := offsetOfMean * g.mean(0, len(g.values)-1)
	if offset <= 0 {
		return g.plain()
	}
	s := scale{offset: offset}
	values := make([]float64, len(g.values))
	for i, value := range g.values {
		values[i] = s.to(value)
	}
	s.track = newTrack(values)
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
