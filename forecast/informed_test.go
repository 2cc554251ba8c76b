package forecast

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// withLaunch is 16 days of a daily pattern whose demand is four times as much for three hours, from
// noon of the 15th day on; that came says how it goes on. The usual demand is that without it.
func withLaunch() (usual Series, came []float64, launch Event) {
	usual = fives(16, 5)
	launch = Event{Name: "launch", From: start.Add(14*24*time.Hour + 12*time.Hour)}
	launch.To = launch.From.Add(3 * time.Hour)
	came = slices.Clone(usual.Values)
	for at := indexAt(usual, launch.From); at < indexAt(usual, launch.To); at++ {
		came[at] *= 4
	}
	return usual, came, launch
}

// until is a series up to a time.
func until(s Series, values []float64, end time.Time) Series {
	s.Values = slices.Clone(values[:indexAt(s, end)])
	return s
}

// missed is how far the medians of a forecast made at a time are from values, on average.
func missed(f Forecast, values Series, now time.Time) float64 {
	sum := 0.0
	for j, h := range f.Horizon {
		sum += math.Abs(f.Quantiles[j][slices.Index(f.Levels, 0.5)]-values.Values[indexAt(values, now.Add(h))]) / float64(len(f.Horizon))
	}
	return sum
}

// informedFit fits Auto to a history of which an event is told, or none.
func informedFit(t *testing.T, history Series, horizon []time.Duration, told ...Event) *Fitted {
	t.Helper()
	f, err := Auto{}.FitInformed(told, history, seasons, horizon, history.End())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAPastEventPoisonsNoFit holds that a fit that is told of an event of yesterday forecasts the same
// hours of today nearly as if there had been none, and one that is told nothing does not.
func TestAPastEventPoisonsNoFit(t *testing.T) {
	usual, came, launch := withLaunch()
	day := launch.From.Add(23 * time.Hour)
	horizon := steps(usual.Step, 48) // the event's hours, and half an hour around
	loss := func(values []float64, told ...Event) float64 {
		f := informedFit(t, until(usual, values, day.Add(-time.Hour)), horizon, told...)
		f.Follow(values[indexAt(usual, day.Add(-time.Hour)):indexAt(usual, day)]...)
		now := day.Add(-usual.Step)
		return missed(ask(t, f, now, len(horizon)), usual, now)
	}
	never, told, untold := loss(usual.Values), loss(came, launch), loss(came)
	if told > 1.5*never+1 || untold < 2*told {
		t.Errorf("error %.1f without an event, %.1f with one that is told, %.1f with one that is not", never, told, untold)
	}
}

// TestAnEventEndsInTheForecast holds that a fit made an hour into an event expects it to stay until its
// end and no longer, and that what is followed after the end is usual again.
func TestAnEventEndsInTheForecast(t *testing.T) {
	usual, came, launch := withLaunch()
	horizon := steps(usual.Step, 48)
	began := launch.From.Add(time.Hour)
	f := informedFit(t, until(usual, came, began), horizon, launch)
	whole := usual
	whole.Values = came
	now := began.Add(-usual.Step)
	if miss := missed(ask(t, f, now, len(horizon)), whole, now); miss > 40 {
		t.Errorf("an hour into the event the error is %.1f, of a demand of some 400 that falls to 100", miss)
	}
	ended := launch.To.Add(30 * time.Minute)
	f.Follow(came[indexAt(usual, began):indexAt(usual, ended)]...)
	now = ended.Add(-usual.Step)
	if miss := missed(ask(t, f, now, len(horizon)), usual, now); miss > 10 {
		t.Errorf("half an hour after the event the error is %.1f", miss)
	}
}

// TestAnEventToComeIsNotForecast holds that one of which nothing is known yet changes nothing: whoever
// declares it counts it.
func TestAnEventToComeIsNotForecast(t *testing.T) {
	usual, _, launch := withLaunch()
	history, horizon := until(usual, usual.Values, launch.From.Add(-time.Hour)), steps(usual.Step, 48)
	told := informedFit(t, history, horizon, launch)
	if diff := cmp.Diff(ask(t, fit(t, history, horizon), history.End(), 48), ask(t, told, history.End(), 48)); diff != "" {
		t.Errorf("(-without +told):\n%s", diff)
	}
}

func TestEventsAreTakenOut(t *testing.T) {
	at := func(hour int) time.Time { return start.Add(time.Duration(hour) * time.Hour) }
	event := func(name string, from, to int) Event { return Event{Name: name, From: at(from), To: at(to)} }
	// days has the same demand all the time, save for some hours.
	days := func(level float64, hours map[int]float64) Series {
		s := Series{Start: start, Step: time.Hour, Values: slices.Repeat([]float64{level}, 72)}
		for hour, value := range hours {
			s.Values[hour] = value
		}
		return s
	}
	for name, test := range map[string]struct {
		history Series
		events  []Event
		want    map[int]float64
	}{
		"a multiple":                  {days(10, map[int]float64{30: 40, 31: 40}), []Event{event("a", 30, 32)}, nil},
		"where there is usually none": {days(0, map[int]float64{30: 12, 31: 12}), []Event{event("a", 30, 32)}, nil},
		"on the first day":            {days(10, map[int]float64{5: 40, 6: 40}), []Event{event("a", 5, 7)}, nil},
		"before any day is known":     {until(days(10, nil), days(10, map[int]float64{5: 40, 6: 40}).Values, at(8)), []Event{event("a", 5, 7)}, nil},
		"two at the same time":        {days(10, map[int]float64{30: 40, 31: 40}), []Event{event("a", 30, 32), event("b", 30, 32)}, nil},
		"two, one after the other":    {days(10, map[int]float64{30: 40, 31: 20}), []Event{event("a", 30, 31), event("b", 31, 32)}, nil},
		"one that did nothing":        {days(10, nil), []Event{event("a", 30, 32)}, nil},
		"one of long ago":             {days(10, nil), []Event{event("a", -30, -10)}, nil},
		"a freeze":                    {days(10, nil), []Event{{Name: "f", From: at(30), To: at(31), Freeze: true}}, map[int]float64{30: math.NaN()}},
	} {
		usual := 10.0
		if test.history.Values[0] == 0 {
			usual = 0
		}
		for hour, value := range WithoutEvents(test.history, test.events).Values {
			want, odd := test.want[hour]
			if !odd {
				want = usual
			}
			if math.Abs(value-want) > 0.5 || math.IsNaN(value) != math.IsNaN(want) {
				t.Errorf("%s: %v in hour %d, want %v", name, value, hour, want)
			}
		}
	}
	shifted := days(40, nil)
	for hour := range 48 {
		shifted.Values[hour] = 10
	}
	shifted.Values[60] = 80
	if got := WithoutEvents(shifted, []Event{event("a", 60, 61)}).Values[60]; got != 40 {
		t.Errorf("%v without an event of twice the demand, after a rise to four times that of the days before, want 40", got)
	}
}
