package forecast

import (
	"fmt"
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast/member"
)

// Event is a time at which demand is known to be another than usual: a sale, a training run that
// somebody planned, or a freeze.
type Event struct {
	// Name is shared by what recurs: what is learned from one serves the next.
	Name string
	// From and To are when it begins and when it has ended.
	From, To time.Time
	// Factor is by how much demand is multiplied; zero means that it is learned from earlier events
	// of the name.
	Factor float64
	// Freeze says that nothing is deployed: demand stays what it was when it began, and teaches
	// nothing about other times.
	Freeze bool
}

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
	if len(i.Events) == 0 {
		return i.Model.Forecast(history, seasons, horizon, now)
	}
	known, err := learnEvents(history, i.Events)
	if err != nil {
		return Forecast{}, err
	}
	plain := history
	plain.Values = slices.Clone(history.Values)
	for at := range plain.Values {
		plain.Values[at] /= known.factor(timeAt(history, at)) // NaN in a freeze
	}
	f, err := i.Model.Forecast(plain, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	seen := problem{Grid: member.Clean(history.Values), steps: stepsAhead(horizon, now.Sub(history.End()), history.Step)}
	for j, h := range horizon {
		factor := known.factor(now.Add(h))
		if math.IsNaN(factor) {
			continue
		}
		for _, path := range f.Paths {
			path[j] = seen.possible(path[j] * factor) // the model saw fractions where an event was taken out
		}
	}
	freeze(&f, known, seen, now)
	f.Quantiles = quantiles(f.Paths, len(horizon))
	return f, nil
}

// freeze has the forecast stay, while a freeze lasts, where it is expected to be when that begins; in
// one that has begun, where demand is now, with a spread as of changes by chance.
func freeze(f *Forecast, known events, seen problem, now time.Time) {
	var flat [][]float64
	for j, h := range f.Horizon {
		since, frozen := known.frozenSince(now.Add(h))
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

// events are those whose factors are known, in order of time.
type events []Event

// mostFactor bounds what an event is believed to do to demand, either way.
const mostFactor = 100

// learnEvents checks the events, and finds the factors that are not given: the mean demand during
// earlier events of the name ÷ the mean of what it was a week, or a day, before and after each. One
// of which there was none before does nothing.
func learnEvents(history Series, all []Event) (events, error) {
	known := slices.Clone(events(all))
	slices.SortStableFunc(known, func(a, b Event) int { return a.From.Compare(b.From) })
	for _, e := range known {
		if !e.From.Before(e.To) {
			return nil, fmt.Errorf("event %q ends at %s, not after it begins: write a later time", e.Name, e.To.Format(time.RFC3339))
		}
		if e.Factor != 0 && !(e.Factor >= 1.0/mostFactor && e.Factor <= mostFactor) {
			return nil, fmt.Errorf("event %q has a factor of %v: write one from %v to %v, or none to have it learned", e.Name, e.Factor, 1.0/mostFactor, mostFactor)
		}
	}
	learned := map[string]float64{}
	for k, e := range known {
		if e.Factor != 0 || e.Freeze {
			continue
		}
		if _, done := learned[e.Name]; !done {
			learned[e.Name] = known.learn(history, e.Name)
		}
		known[k].Factor = learned[e.Name]
	}
	return known, nil
}

// learn is the factor of the events of a name.
func (known events) learn(history Series, name string) float64 {
	during, usual := 0.0, 0.0
	for _, e := range known {
		if e.Name != name || e.Freeze {
			continue
		}
		for at := indexAt(history, e.From); at < indexAt(history, e.To) && at < len(history.Values); at++ {
			value := valueAt(history, at)
			expected := known.around(history, at)
			if !math.IsNaN(value) && !math.IsNaN(expected) {
				during += value
				usual += expected
			}
		}
	}
	if usual <= 0 {
		return 1
	}
	return min(max(during/usual, 1.0/mostFactor), mostFactor)
}

// around is what demand is at the same time of days around, or NaN: a week before and after, else a
// day, of which no event is told.
func (known events) around(history Series, at int) float64 {
	for _, off := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} {
		sum, n, steps := 0.0, 0.0, int(off/history.Step)
		for _, other := range []int{at - steps, at + steps} {
			value := valueAt(history, other)
			if quiet := !slices.ContainsFunc(known, func(e Event) bool { return e.holds(timeAt(history, other)) }); quiet && !math.IsNaN(value) {
				sum += value
				n++
			}
		}
		if n > 0 {
			return sum / n
		}
	}
	return math.NaN()
}

func (e Event) holds(at time.Time) bool { return !at.Before(e.From) && at.Before(e.To) }

// factor is by what all events of a time multiply demand; NaN in a freeze.
func (known events) factor(at time.Time) float64 {
	factor := 1.0
	for _, e := range known {
		switch {
		case !e.holds(at):
		case e.Freeze:
			return math.NaN()
		case e.Factor > 0:
			factor *= e.Factor
		}
	}
	return factor
}

// frozenSince is when the freeze began that holds at a time, and whether there is one.
func (known events) frozenSince(at time.Time) (since time.Time, frozen bool) {
	for _, e := range known {
		if e.Freeze && e.holds(at) {
			return e.From, true
		}
	}
	return time.Time{}, false
}

func timeAt(s Series, index int) time.Time { return s.Start.Add(time.Duration(index) * s.Step) }

// indexAt is the first index that is not before a time, at least zero.
func indexAt(s Series, at time.Time) int {
	return int(max((at.Sub(s.Start)+s.Step-1)/s.Step, 0))
}

// valueAt is NaN where there is none.
func valueAt(s Series, index int) float64 {
	if index < 0 || index >= len(s.Values) {
		return math.NaN()
	}
	return s.Values[index]
}
