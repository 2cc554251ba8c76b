package member

// recent is the exponentially weighted mean of demand until an origin, on the logarithmic
// scale, where a spike weighs less. Unlike smoother it has nothing to fit: next to the last
// value, several with different gains let the mixture choose how far back to look.
type recent struct {
	scale
	gain float64
	// levels are those at each value, with seven digits, as there are many; level is the last.
	levels []float32
	level  float64
}

// recentGains are the shares of an error that go into the level: means over some four and
// twelve values.
var recentGains = [...]float64{0.25, 0.08}

func newRecent(s scale, gain float64) *recent {
	r := &recent{scale: s, gain: gain, levels: make([]float32, 0, len(s.Values)), level: s.Values[0]}
	for _, value := range s.Values {
		r.take(value)
	}
	return r
}

// push follows a value that came after the fit.
func (r *recent) push(demand float64, _ int) { r.take(r.to(demand)) }

func (r *recent) take(value float64) {
	r.level += r.gain * (value - r.level)
	r.levels = append(r.levels, float32(r.level))
}

// at forecasts demand.
func (r *recent) at(origin, _ int) float64 { return max(r.back(float64(r.levels[origin])), 0) }
