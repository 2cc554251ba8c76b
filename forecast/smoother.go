package forecast

import "math"

const (
	// smootherSeasons is over how many seasons a smoother is fitted and runs in.
	smootherSeasons = 4
	// refitEvery is after how many folds its parameters are fitted anew.
	refitEvery = 7
)

// smoother is damped exponential smoothing as a member: per fold with the indices of the
// season and the parameters as of that fold.
type smoother struct {
	calendar
	folds []smootherFold
}

type smootherFold struct {
	season indices
	fitted smoothing
	// states are those after each value that is an origin of the fold, oldest first.
	states []smootherState
}

type smootherState struct{ level, trend float64 }

// newSmoother keeps the newest folds, from fold 0 on.
func newSmoother(g grid, c calendar, keep int) *smoother {
	s := &smoother{calendar: c, folds: make([]smootherFold, min(keep, max(c.folds()-1, 1)))}
	var fitted smoothing
	var adjusted []float64
	for k := len(s.folds) - 1; k >= 0; k-- {
		cut := c.cut(k)
		fold := &s.folds[k]
		fold.season = grid{track: &track{values: g.values[:cut], sums: g.sums[:cut+1]}}.decompose(c.span)
		from := max(cut-smootherSeasons*c.span, 0)
		from -= from % c.span // so that the first value has the first slot
		adjusted = fold.season.adjust(adjusted, g.values[from:min(cut+c.span-1, c.n)])
		switch {
		case k == len(s.folds)-1:
			fitted = fitETS(adjusted[:cut-from])
		case k%refitEvery == 0:
			fitted = fitted.refit(adjusted[:cut-from])
		}
		fold.fitted = fitted.run(adjusted[:cut-from])
		state := smootherState{fold.fitted.level, fold.fitted.trend}
		fold.states = append(make([]smootherState, 0, len(adjusted)-(cut-from)+1), state)
		for _, value := range adjusted[cut-from:] {
			state.level, state.trend, _ = fitted.next(state.level, state.trend, value)
			fold.states = append(fold.states, state)
		}
	}
	return s
}

// push follows a value that came after the fit, and has an index.
func (s *smoother) push(value float64, index int) {
	fold := &s.folds[0]
	state := fold.states[len(fold.states)-1]
	value = fold.season.without(value, fold.season.slots[index%s.span])
	state.level, state.trend, _ = fold.fitted.next(state.level, state.trend, value)
	fold.states = append(fold.states, state)
}

// at forecasts demand.
func (s *smoother) at(origin, steps int) float64 {
	k := min(s.fold(origin), len(s.folds)-1)
	fold := &s.folds[k]
	state := fold.states[max(origin-s.cut(k)+1, 0)]
	damping := fold.fitted.damping
	reached := damping * (1 - math.Pow(damping, float64(steps))) / (1 - damping)
	return max(fold.season.restore(state.level+state.trend*reached, origin+steps), 0)
}
