package forecast

import (
	"slices"
	"time"
)

// Auto weighs many members, ridge regressions among them, by how well they did at earlier
// origins that look like now, per part of the horizon, and draws joint paths from the errors
// that the mixture would have made there. A history too short for that is answered by
// Combined.
//
// Its settings are the same for all series: none is meant to be tuned by a user.
type Auto struct {
	// Seed chooses among equally good draws of paths.
	Seed uint64
}

// Name implements Model.
func (Auto) Name() Source { return SourceAuto }

// Forecast implements Model: a fit, and one forecast with it.
func (a Auto) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	f, err := a.Fit(history, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	return f.Forecast(now)
}

// fewestValues is the shortest history that is mixed for.
const fewestValues = 60

// Fit is FitInformed where nothing is told of events.
func (a Auto) Fit(history Series, seasons, horizon []time.Duration, now time.Time) (*Fitted, error) {
	return a.FitInformed(nil, history, seasons, horizon, now)
}

// FitInformed learns all that does not change from one value to the next, from a history out of which
// events are taken first, as Informed does. The other arguments are those of
// Forecast. The seasons are used shortest first, and the first longer one of which the history
// holds enough. Without one that fits, a day is tried once the history is somewhat longer.
func (a Auto) FitInformed(all []Event, history Series, seasons, horizon []time.Duration, now time.Time) (*Fitted, error) {
	t, history, err := tell(history, all)
	if err != nil {
		return nil, err
	}
	p, err := pose(history, seasons, horizon, now)
	if err != nil {
		return nil, err
	}
	p.seed = a.Seed
	f := &Fitted{start: history.Start, step: history.Step, n: len(history.Values), told: t}
	if len(p.Values) >= fewestValues {
		if m := newMixture(p, history.Step); m.learns() {
			m.learn()
			f.mixture, f.ranks = m, m.ranks()
			return f, nil
		}
	}
	f.short, f.seasons, f.horizon, f.seed = slices.Clone(history.Values), seasons, p.horizon, a.Seed
	return f, nil
}
