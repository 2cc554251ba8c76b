package forecast

import (
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast/member"
)

// Informed is a model that is told of events. What they did to the history is taken out before the
// model sees it, and what is expected of those to come is put into its forecast.
type Informed struct {
	Model  Model
	Events []Event
}

// Name implements Model.
func (i Informed) Name() Source { return i.Model.Name() }

// Forecast implements Model.
func (i Informed) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	t, plain, err := tell(history, i.Events)
	if err != nil {
		return Forecast{}, err
	}
	f, err := i.Model.Forecast(plain, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	t.put(&f, now)
	return f, nil
}

// WithoutEvents is a history as it would have been without what events did to it, missing where
// there was a freeze; as it is where an event makes no sense, which a forecast tells.
func WithoutEvents(history Series, all []Event) Series {
	t, plain, err := tell(history, all)
	if err != nil || t == nil {
		return history
	}
	seen := problem{Grid: member.Clean(history.Values)}
	for at, value := range plain.Values {
		if !math.IsNaN(value) {
			plain.Values[at] = seen.possible(value)
		}
	}
	return plain
}

// told is what is known of events beside a model that sees demand without them.
type told struct {
	events
	// history is the demand with them.
	history Series
	// took says that some were taken out of it.
	took bool
}

// tell takes events out of a history. Where none is of any concern, told is nil and the history the
// same.
func tell(history Series, all []Event) (*told, Series, error) {
	known, err := learnEvents(history, all)
	if err != nil || len(known) == 0 {
		return nil, history, err
	}
	t := &told{events: known, history: history}
	t.history.Values = make([]float64, 0, len(history.Values))
	plain := history
	plain.Values = make([]float64, 0, len(history.Values))
	for _, value := range history.Values {
		plain.Values = append(plain.Values, t.take(value))
	}
	return t, plain, nil
}

// take is what is left of the next value without its events, NaN in a freeze.
func (t *told) take(value float64) float64 {
	at := timeAt(t.history, len(t.history.Values))
	t.history.Values = append(t.history.Values, value)
	e := t.at(at)
	t.took = t.took || !e.none()
	return e.outOf(value)
}

// put puts what is expected of events into a forecast of demand without them.
func (t *told) put(f *Forecast, now time.Time) {
	if t == nil || !t.took && !slices.ContainsFunc(f.Horizon, func(h time.Duration) bool { return !t.at(now.Add(h)).none() }) {
		return
	}
	seen := problem{Grid: member.Clean(t.history.Values), steps: stepsAhead(f.Horizon, now.Sub(t.history.End()), t.history.Step)}
	for j, h := range f.Horizon {
		if e := t.at(now.Add(h)); !e.frozen {
			for _, path := range f.Paths {
				path[j] = seen.possible(e.into(path[j])) // the model saw fractions where an event was taken out
			}
		}
	}
	freeze(f, t.events, seen, now)
	f.Quantiles = quantiles(f.Paths, len(f.Horizon))
}

// freeze has the forecast stay, while a freeze lasts, where it is expected to be when that begins; in
// one that has begun, where demand is now, with a spread as of changes by chance.
func freeze(f *Forecast, all events, seen problem, now time.Time) {
	var flat [][]float64
	for j, h := range f.Horizon {
		since, frozen := all.frozenSince(now.Add(h))
		if !frozen {
			continue
		}
		if begins := lastBefore(f.Horizon, since.Sub(now)); begins >= 0 {
			for _, path := range f.Paths {
				path[j] = path[begins]
			}
			continue
		}
		if len(seen.Values) == 0 {
			return
		}
		if flat == nil {
			flat = seen.cautious()
		}
		for k := range f.Paths {
			f.Paths[k][j] = flat[k%len(flat)][j]
		}
	}
}

// lastBefore is the index of the longest horizon below a limit; -1 where there is none.
func lastBefore(horizon []time.Duration, limit time.Duration) int {
	last := -1
	for j, h := range horizon {
		if h < limit && (last < 0 || h > horizon[last]) {
			last = j
		}
	}
	return last
}
