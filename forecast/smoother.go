package forecast

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
	calendar
	folds []smootherFold
}

// fitDamped fits damped smoothing, starting from the parameters of older values of the series; none
// at first.
func fitDamped(before smoothing, values []float64) smoothing {
	if before.alpha == 0 {
		return fitETS(values)
	}
	return before.refit(values)
}

type smootherFold struct {
	season indices
	fitted smoothing
	// states are those after each value that is an origin of the fold, oldest first.
	states []smootherState
}

// smootherState has seven digits, as there are many.
type smootherState struct{ level, trend float32 }

func stateOf(level, trend float64) smootherState {
	return smootherState{float32(level), float32(trend)}
}

// foldIndices are the indices of the season as of the newest folds, from fold 0 on.
func foldIndices(g grid, c calendar, keep int) []indices {
	seasons := make([]indices, min(keep, max(c.folds()-1, 1)))
	for k := range seasons {
		cut := c.cut(k)
		seasons[k] = grid{track: &track{values: g.values[:cut], sums: g.sums[:cut+1]}}.decompose(c.span)
	}
	return seasons
}

// newSmoother keeps the folds that there are indices of, which may be empty.
func newSmoother(g grid, c calendar, seasons []indices, fit func(before smoothing, values []float64) smoothing) *smoother {
	s := &smoother{calendar: c, folds: make([]smootherFold, len(seasons))}
	var fitted smoothing
	adjusted := make([]float64, 0, min((smootherSeasons+1)*c.span, c.n))
	for k := len(s.folds) - 1; k >= 0; k-- {
		cut := c.cut(k)
		fold := &s.folds[k]
		fold.season = seasons[k]
		from := max(cut-smootherSeasons*c.span, 0)
		from -= from % c.span // so that the first value has the first slot
		adjusted = fold.season.adjust(adjusted, g.values[from:min(cut+c.span-1, c.n)])
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
	k := min(s.fold(origin), len(s.folds)-1)
	fold := &s.folds[k]
	state := fold.states[max(origin-s.cut(k)+1, 0)]
	damping := fold.fitted.damping
	reached := damping * (1 - math.Pow(damping, float64(steps))) / (1 - damping)
	return max(fold.season.restore(float64(state.level)+float64(state.trend)*reached, origin+steps), 0)
}
