package forecaster

import (
	"math"
	"testing"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/champion"
)

// launched is a daily pattern with four times the demand for two hours of the tenth day, and that event.
func launched(seed uint64) (demand func(i int) float64, event forecast.Event, from int) {
	const first, quarters = 9*96 + 40, 8
	steady := daily(seed)
	event = forecast.Event{Name: "launch", From: start.Add(first * quarter), To: start.Add((first + quarters) * quarter)}
	return func(i int) float64 {
		if i >= first && i < first+quarters {
			return 4 * steady(i)
		}
		return steady(i)
	}, event, first
}

// TestADeclaredEventPoisonsNoForecast holds, with Auto and with Combined, that a pool which is told of an
// event is forecast as usual at the same hours of the next day, that the event is expected to end when
// it does, and that its retraining does as well as if there had been none.
func TestADeclaredEventPoisonsNoForecast(t *testing.T) {
	steady := daily(3)
	for _, model := range []forecast.Source{forecast.SourceAuto, forecast.SourceCombined} {
		errs := map[bool]float64{}
		for _, told := range []bool{true, false} {
			demand, event, from := launched(3)
			l := newLife(t, 9, demand)
			l.pool.Model, l.pool.RetrainEvery = model, 0
			if told {
				l.pool.Events = []forecast.Event{event}
			}
			off := func(answer Answer) float64 { return math.Abs(answer.Quantiles[1][5] - l.demand(l.i+1)) }
			for l.i < from+7 {
				l.step(t)
			}
			last := l.step(t) // the last quarter of the event
			if miss := math.Abs(last.Quantiles[1][5] - steady(l.i+1)); told && miss > 25 {
				t.Errorf("%s: half an hour after the event %.0f is expected too much or too little", model, miss)
			}
			for l.i < from+96-2 {
				l.step(t)
			}
			for range 8 {
				errs[told] += off(l.step(t)) / 8
			}
		}
		if errs[true] > 15 || errs[false] < 1.5*errs[true] {
			t.Errorf("%s: error at the hours of yesterday's event %.1f, %.1f if it is not told", model, errs[true], errs[false])
		}
	}
}

// TestTrialsAreToldOfEvents: the champion's score over a week with an event is that of a week without.
func TestTrialsAreToldOfEvents(t *testing.T) {
	score := func(demand func(int) float64, events ...forecast.Event) float64 {
		l := newLife(t, 10, demand)
		l.pool.Events = events
		l.step(t)
		l.step(t)
		return l.records.record.Versions[0].Score.Loss
	}
	demand, event, _ := launched(3)
	without, told, untold := score(daily(3)), score(demand, event), score(demand)
	if !(told < untold) || without == 0 {
		t.Errorf("loss %.4f without an event, %.4f with one that is told, %.4f with one that is not", without, told, untold)
	}
}

// TestAnEventThatIsDeclaredLateIsLearnedAtOnce: the next fit knows it.
func TestAnEventThatIsDeclaredLateIsLearnedAtOnce(t *testing.T) {
	demand, event, from := launched(5)
	l := newLife(t, 9, demand)
	for l.i < from+96-1 {
		l.step(t)
	}
	l.pool.Events = []forecast.Event{event}
	l.now, l.i = l.now.Add(-quarter), l.i-1 // not an interval later
	if miss := math.Abs(l.step(t).Quantiles[1][5] - demand(l.i+1)); miss > 25 {
		t.Errorf("error %.0f at once", miss)
	}
	if fit := l.track(l.pool, "single").fits[1]; len(fit.events) != 1 {
		t.Errorf("fitted for %v", fit.events)
	}
	l.pool.Events[0].To = l.pool.Events[0].To.Add(time.Hour)
	l.step(t)
	if fit := l.track(l.pool, "single").fits[1]; !fit.events[0].To.Equal(l.pool.Events[0].To) {
		t.Errorf("fitted for %v, after the event was made longer", fit.events)
	}
}

// TestAFitIsOutdatedOnceAnEventHasEnded: within the hour in which it would go on else.
func TestAFitIsOutdatedOnceAnEventHasEnded(t *testing.T) {
	series := forecast.Series{Start: start, Step: time.Minute, Values: make([]float64, 1000)}
	event := forecast.Event{Name: "launch", From: series.End().Add(-20 * time.Minute), To: series.End()}
	for name, test := range map[string]struct {
		learned time.Time
		asked   []forecast.Event
		want    bool
	}{
		"it ended since": {series.End().Add(-10 * time.Minute), []forecast.Event{event}, true},
		"it was known":   {series.End(), []forecast.Event{event}, false},
		"there was none": {series.End().Add(-10 * time.Minute), nil, false},
	} {
		x := &fit{learned: test.learned, events: test.asked, values: 1000}
		if got := x.outdated(champion.Settings{}, series, question{events: test.asked}); got != test.want {
			t.Errorf("%s: outdated %v", name, got)
		}
	}
}
