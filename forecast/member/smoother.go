package member

import "math"

const (
	// smootherSeasons is over how many seasons a smoother is fitted and runs in.
	smootherSeasons = 4
	// refitEvery is after how many folds its parameters are fitted anew.
	refitEvery = 7
)

// smoother is exponential smoothing as a member: per fold with the indices of the season and the
// parameters as of that fold.
type smoother struct {
	Calendar
	folds []smootherFold
}

// fitDamped fits damped smoothing, starting from the parameters of older values of the series; none
// at first.
func fitDamped(before Smoothing, values []float64) Smoothing {
	if before.alpha == 0 {
		return FitETS(values)
	}
	return before.refit(values)
}

type smootherFold struct {
	season Indices
	fitted Smoothing
	// states are those after each value that is an origin of the fold, oldest first.
	states []smootherState
}

// smootherState has seven digits, as there are many.
type smootherState struct{ level, trend float32 }

func stateOf(level, trend float64) smootherState {
	return smootherState{float32(level), float32(trend)}
}

// foldIndices are the indices of the season as of the newest folds, from fold 0 on.
func foldIndices(g Grid, c Calendar, keep int) []Indices {
	seasons := make([]Indices, min(keep, max(c.Folds()-1, 1)))
	for k := range seasons {
		cut := c.Cut(k)
		seasons[k] = Grid{Track: &Track{Values: g.Values[:cut], sums: g.sums[:cut+1]}}.decompose(c.Span)
	}
	return seasons
}

// newSmoother keeps the folds that there are indices of, which may be empty.
func newSmoother(g Grid, c Calendar, seasons []Indices, fit func(before Smoothing, values []float64) Smoothing) *smoother {
	s := &smoother{Calendar: c, folds: make([]smootherFold, len(seasons))}
	var fitted Smoothing
	adjusted := make([]float64, 0, min((smootherSeasons+1)*c.Span, c.N))
	for k := len(s.folds) - 1; k >= 0; k-- {
		cut := c.Cut(k)
		fold := &s.folds[k]
		fold.season = seasons[k]
		from := max(cut-smootherSeasons*c.Span, 0)
		from -= from % c.Span // so that the first value has the first slot
		adjusted = fold.season.Adjust(adjusted, g.Values[from:min(cut+c.Span-1, c.N)])
		if k == len(s.folds)-1 || k%refitEvery == 0 {
			fitted = fit(fitted, adjusted[:cut-from])
		}
		fold.fitted = fitted.run(adjusted[:cut-from])
		level, trend := fold.fitted.level, fold.fitted.trend
		fold.states = append(make([]smootherState, 0, len(adjusted)-(cut-from)+1), stateOf(level, trend))
		for _, value := range adjusted[cut-from:] {
			level, trend, _ = fitted.next(level, trend, value)
			fold.states = append(fold.states, stateOf(level, trend))
		}
	}
	return s
}

// push follows a value that came after the fit, and has an index.
func (s *smoother) push(value float64, index int) {
	fold := &s.folds[0]
	state := fold.states[len(fold.states)-1]
	value = fold.season.take(value, index)
	level, trend, _ := fold.fitted.next(float64(state.level), float64(state.trend), value)
	fold.states = append(fold.states, stateOf(level, trend))
}

// at forecasts demand.
func (s *smoother) at(origin, steps int) float64 {
	k := min(s.Fold(origin), len(s.folds)-1)
	fold := &s.folds[k]
	state := fold.states[max(origin-s.Cut(k)+1, 0)]
	damping := fold.fitted.damping
	reached := damping * (1 - math.Pow(damping, float64(steps))) / (1 - damping)
	return max(fold.season.Restore(float64(state.level)+float64(state.trend)*reached, origin+steps), 0)
}
