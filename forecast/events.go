package forecast

import (
	"fmt"
	"math"
	"slices"
	"time"
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

// effect is what events do to demand at a time: usual × factor + addend; in a freeze, nothing is known.
type effect struct {
	factor, addend float64
	frozen         bool
}

func (e effect) none() bool { return e == effect{factor: 1} }

// outOf takes the effect out of a demand; NaN in a freeze.
func (e effect) outOf(demand float64) float64 {
	switch {
	case e.frozen:
		return math.NaN()
	case e.none():
		return demand
	}
	return max(demand-e.addend, 0) / e.factor // NaN stays
}

// into puts it into a demand.
func (e effect) into(demand float64) float64 { return demand*e.factor + e.addend }

// events are in order of time.
type events []known

// known is an event with its effect; one without a factor is not known yet, and has none.
type known struct {
	Event
	addend float64
}

// mostFactor bounds what an event is believed to do to demand, either way.
const mostFactor = 100

// mostLearned is how many values of an event are looked at, about, so that many long events cost little.
const mostLearned = 256

// learnEvents checks the events, drops those that ended before the history began, and finds the
// effects that are not given, from earlier events of the name. One of which there was none before
// has no effect.
func learnEvents(history Series, all []Event) (events, error) {
	var out events
	for _, e := range all {
		if err := e.check(); err != nil {
			return nil, err
		}
		if e.To.After(history.Start) {
			out = append(out, known{Event: e})
		}
	}
	slices.SortStableFunc(out, func(a, b known) int { return a.From.Compare(b.From) })
	var quiet Series
	for k, e := range out {
		if !e.unknown() { // it was given, or learned with an earlier one
			continue
		}
		if quiet.Values == nil {
			quiet = out.quiet(history)
		}
		factor, addend := out.learn(history, quiet, e.Name)
		for j := range out[k:] {
			if same := &out[k+j]; same.Name == e.Name && same.unknown() {
				same.Factor, same.addend = factor, addend
			}
		}
	}
	return out, nil
}

// check says what is wrong with an event.
func (e Event) check() error {
	if !e.From.Before(e.To) {
		return fmt.Errorf("event %q ends at %s, not after it begins: write a later time", e.Name, e.To.Format(time.RFC3339))
	}
	if e.Factor != 0 && !(e.Factor >= 1.0/mostFactor && e.Factor <= mostFactor) {
		return fmt.Errorf("event %q has a factor of %v: write one from %v to %v, or none to have it learned", e.Name, e.Factor, 1.0/mostFactor, mostFactor)
	}
	return nil
}

// unknown says that the effect is still to be learned.
func (k known) unknown() bool { return k.Factor == 0 && !k.Freeze }

// quiet is what of a history is of times of which no event is told, NaN elsewhere.
func (all events) quiet(history Series) Series {
	quiet := history
	quiet.Values = slices.Clone(history.Values)
	for _, e := range all {
		for at := indexAt(history, e.From); at < min(indexAt(history, e.To), len(quiet.Values)); at++ {
			quiet.Values[at] = math.NaN()
		}
	}
	return quiet
}

// learn is the effect of the events of a name: the mean demand during those that began ÷ the mean of
// what is usual at these times. Where none is usual, what came is added.
func (all events) learn(history, quiet Series, name string) (factor, addend float64) {
	during, usual, n := 0.0, 0.0, 0.0
	for _, e := range all {
		if e.Name != name || e.Freeze {
			continue
		}
		before, scale := all.before(history, quiet, e.From)
		first, end := indexAt(history, e.From), min(indexAt(history, e.To), len(history.Values))
		for at := first; at < end; at += max((end-first)/mostLearned, 1) {
			value, expected := all.without(history, at), scale*around(quiet, at)
			if math.IsNaN(expected) {
				expected = before
			}
			if !math.IsNaN(value) && !math.IsNaN(expected) {
				during += value
				usual += expected
				n++
			}
		}
	}
	switch {
	case n == 0:
		return 1, 0
	case usual <= 0:
		return 1, during / n
	}
	return min(max(during/usual, 1.0/mostFactor), mostFactor), 0
}

const (
	// levelBefore is over how long before an event demand is looked at.
	levelBefore = time.Hour
	// mostScale bounds how far that may be from what is usual then.
	mostScale = 4
)

// before is the mean demand before an event, NaN where that is not known, and how it compares with
// what is usual then: the level wanders, while the shape of days stays.
func (all events) before(history, quiet Series, from time.Time) (level, scale float64) {
	sum, usual, n := 0.0, 0.0, 0.0
	end := min(indexAt(history, from), len(history.Values))
	for at := max(end-max(int(levelBefore/history.Step), 1), 0); at < end; at++ {
		if value := all.without(history, at); !math.IsNaN(value) {
			sum += value
			usual += around(quiet, at)
			n++
		}
	}
	if scale = sum / usual; !(scale > 0) || math.IsInf(scale, 0) {
		scale = 1
	}
	return sum / n, min(max(scale, 1.0/mostScale), mostScale)
}

// around is what demand is at the same time of quiet days around, or NaN: a week before and after, else a
// day.
func around(quiet Series, at int) float64 {
	for _, off := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} {
		sum, n, steps := 0.0, 0.0, int(off/quiet.Step)
		for _, other := range []int{at - steps, at + steps} {
			if value := valueAt(quiet, other); !math.IsNaN(value) {
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

// without is the demand at an index without the effects that are known; NaN where there is none.
func (all events) without(history Series, at int) float64 {
	return all.at(timeAt(history, at)).outOf(valueAt(history, at))
}

// at is what all events do together at a time.
func (all events) at(at time.Time) effect {
	sum := effect{factor: 1}
	for _, e := range all {
		switch {
		case !e.holds(at):
		case e.Freeze:
			sum.frozen = true
		case e.Factor > 0:
			sum.factor *= e.Factor
			sum.addend += e.addend
		}
	}
	return sum
}

func (e Event) holds(at time.Time) bool { return !at.Before(e.From) && at.Before(e.To) }

// frozenSince is when the freeze began that holds at a time, and whether there is one.
func (all events) frozenSince(at time.Time) (since time.Time, frozen bool) {
	for _, e := range all {
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
