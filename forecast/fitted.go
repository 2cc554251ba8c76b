package forecast

import (
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast/member"
)

// Fitted is Auto fitted to a history. It forecasts as often as wanted, also from values that
// came after the fit, for a small part of the cost of a fit: the members' coefficients, their
// shares and the band stay those of the fit. It is not for concurrent use.
type Fitted struct {
	// mixture is nil for a history that is too short.
	mixture *mixture
	// ranks[mark][path] is the place of a path in the curve of the mark: below mostPaths.
	ranks [][]uint8
	// start, step and n say when the values were: n counts those that were followed too.
	start time.Time
	step  time.Duration
	n     int
	// short, seasons, horizon and seed ask Combined anew where the history is too short.
	short            []float64
	seasons, horizon []time.Duration
	seed             uint64
	// told is nil where no event is of any concern.
	told *told
}

// Follow appends values that came after the last one, one step after another, NaN where one
// is missing. It does not learn from them: that takes a new fit.
func (f *Fitted) Follow(values ...float64) {
	for _, value := range values {
		f.n++
		if f.told != nil {
			value = f.told.take(value)
		}
		if f.mixture == nil {
			f.short = append(f.short, value)
			continue
		}
		f.mixture.push(value)
	}
}

// push takes a missing value for one that has not changed, as clean does.
func (m *mixture) push(value float64) {
	last := len(m.Values) - 1
	if !member.Believable(value) {
		value = m.Values[last]
	}
	value = math.Max(value, 0)
	m.unrest.push(value - m.Values[last])
	m.set.Follow(value)
}

// Forecast answers for the horizon of the fit, counted from now.
func (f *Fitted) Forecast(now time.Time) (Forecast, error) {
	answer, err := f.plain(now)
	if err == nil {
		f.told.put(&answer, now)
	}
	return answer, err
}

// plain is the forecast without events.
func (f *Fitted) plain(now time.Time) (Forecast, error) {
	history := Series{Start: f.start, Step: f.step, Values: f.short}
	m := f.mixture
	if m == nil {
		return Combined{Seed: f.seed}.Forecast(history, f.seasons, f.horizon, now)
	}
	steps := stepsAhead(m.horizon, now.Sub(f.start.Add(time.Duration(f.n-1)*f.step)), f.step)
	answer := Forecast{Horizon: slices.Clone(m.horizon), Levels: Levels(), Source: SourceAuto, Reason: ReasonEnoughHistory}
	if len(m.repeats) == 0 {
		answer.Reason = ReasonNoSeason
	}
	answer.Paths = table(mostPaths, len(steps))
	curve := make([]float64, mostPaths)
	for i, ahead := range steps {
		below, above, share := m.between(ahead)
		m.curve(curve, ahead)
		ranks := f.ranks[below]
		if share > 0.5 {
			ranks = f.ranks[above]
		}
		for k, rank := range ranks {
			answer.Paths[k][i] = curve[rank]
		}
		answer.Quantiles = append(answer.Quantiles, levelsOf(curve))
	}
	return answer, nil
}

// between are the marks around some steps ahead, and how far through them these are. What is
// beyond the last mark errs as there.
func (m *mixture) between(steps int) (below, above int, share float64) {
	above, found := slices.BinarySearch(m.marks, steps)
	above = min(above, len(m.marks)-1)
	if found || above == 0 || m.marks[above] < steps {
		return above, above, 0
	}
	below = above - 1
	return below, above, float64(steps-m.marks[below]) / float64(m.marks[above]-m.marks[below])
}

// nearest is the nearer one of two marks, of those in a part of the horizon.
func (m *mixture) nearest(part, below, above int, share float64) int {
	belongs := func(mark int) bool { return member.PartOf(m.edges, m.marks[mark]) == part }
	if belongs(above) && (share > 0.5 || !belongs(below)) {
		return above
	}
	return below
}

// curve fills in equally likely values of demand some steps ahead, increasing.
func (m *mixture) curve(values []float64, steps int) {
	below, above, share := m.between(steps)
	last, part := len(m.Values)-1, member.PartOf(m.edges, steps)
	if c := m.compounds[part]; c != nil {
		chances := c.chances[m.nearest(part, below, above, share)]
		fillCompound(values, m.even, chances[aboveZero(m.Values[last])], c.sizes)
		return
	}
	point := m.mixed(part, func(c int) float64 { return m.set.Members[c].At(last, steps) })
	spread := m.spread(point) * math.Pow(m.unrest.ratio(), m.powers[part])
	low, high := m.bands[below].curve[:len(values)], m.bands[above].curve[:len(values)]
	nearer, farther, whole := spread*(1-share), spread*share, m.Whole
	for k := range values { // as possible does, without its call: this is most of a forecast's time
		value := point + nearer*low[k] + farther*high[k]
		if whole {
			value = math.Round(value)
		}
		values[k] = max(value, 0)
	}
}
