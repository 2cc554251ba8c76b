package forecast

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// withSales is a daily pattern with the demand doubled for three hours on days that no calendar
// tells; the last of them is to come.
func withSales() (history Series, events []Event, came []float64) {
	whole := fives(22, 9)
	for _, day := range []int{3, 8, 10, 17, 20} {
		e := Event{Name: "sale", From: start.Add(time.Duration(day)*24*time.Hour + 9*time.Hour)}
		e.To = e.From.Add(3 * time.Hour)
		events = append(events, e)
		for at := indexAt(whole, e.From); at < indexAt(whole, e.To); at++ {
			whole.Values[at] *= 2
		}
	}
	cut := indexAt(whole, events[4].From) - 6
	history = whole
	history.Values = whole.Values[:cut]
	return history, events, whole.Values[cut : cut+48]
}

// TestEventsAreRegressors holds that a known event halves the error at its hours, at least, with
// its factor learned from earlier ones, and that other hours gain nothing and lose nothing.
func TestEventsAreRegressors(t *testing.T) {
	history, events, came := withSales()
	horizon := steps(history.Step, 48)
	given := slices.Clone(events)
	for i := range given {
		given[i].Factor = 2
	}
	loss := func(model Model) (at, outside float64) {
		f, err := model.Forecast(history, seasons, horizon, history.End())
		if err != nil {
			t.Fatal(err)
		}
		checkForecast(t, f, len(horizon))
		for j, h := range horizon {
			miss := math.Abs(came[j] - f.Quantiles[j][slices.Index(f.Levels, 0.5)])
			if events[4].holds(history.End().Add(h)) {
				at += miss
			} else {
				outside += miss
			}
		}
		return at, outside
	}
	for _, model := range []Model{Auto{}, Combined{}, Theta{}} {
		unaware, before := loss(model)
		learned, after := loss(Informed{model, events})
		told, _ := loss(Informed{model, given})
		if learned > unaware/2 || told > unaware/2 {
			t.Errorf("%s: error %.0f at the event, %.0f if its factor is learned, %.0f if it is given", model.Name(), unaware, learned, told)
		}
		if after > 1.3*before+20 {
			t.Errorf("%s: error %.0f at other hours, %.0f with events", model.Name(), before, after)
		}
	}
}

// TestEventsKeepDemandWhole holds that what is counted in whole numbers is forecast in such, though
// what is left of it without the events has fractions.
func TestEventsKeepDemandWhole(t *testing.T) {
	history, events, _ := withSales()
	for at := range history.Values {
		history.Values[at] = math.Round(history.Values[at])
	}
	for _, model := range []Model{Auto{}, Combined{}} {
		f, err := Informed{model, events}.Forecast(history, seasons, steps(history.Step, 48), history.End())
		if err != nil {
			t.Fatal(err)
		}
		for j, row := range f.Quantiles {
			for _, value := range row {
				if value != math.Round(value) {
					t.Fatalf("%s, %v ahead: %v", model.Name(), f.Horizon[j], row)
				}
			}
		}
	}
}

// TestAFreezeIsFlat holds that demand is expected to stay while a freeze lasts, and as ever after
// it, and that a freeze of the past teaches nothing.
func TestAFreezeIsFlat(t *testing.T) {
	history := fives(14, 4)
	now := history.End()
	freeze := Event{Name: "freeze", From: now.Add(-time.Minute), To: now.Add(6 * time.Hour), Freeze: true}
	horizon := steps(history.Step, 144)
	f, err := Informed{Auto{}, []Event{freeze}}.Forecast(history, seasons, horizon, now)
	if err != nil {
		t.Fatal(err)
	}
	checkForecast(t, f, len(horizon))
	last, plain := history.Values[len(history.Values)-1], auto(t, history, horizon)
	middle := slices.Index(f.Levels, 0.5)
	for j, h := range horizon {
		got := f.Quantiles[j][middle]
		switch at := now.Add(h); {
		case freeze.holds(at) && math.Abs(got-last) > 15:
			t.Fatalf("%v into the freeze %.1f, want about %.1f as before it", h, got, last)
		case !freeze.holds(at) && math.Abs(got-plain.Quantiles[j][middle]) > 15:
			t.Fatalf("%v ahead, after the freeze, %.1f, want about %.1f as without it", h, got, plain.Quantiles[j][middle])
		}
	}

	later := Event{Name: "freeze", From: now.Add(4 * time.Hour), To: now.Add(10 * time.Hour), Freeze: true}
	if f, err = (Informed{Auto{}, []Event{later}}).Forecast(history, seasons, horizon, now); err != nil {
		t.Fatal(err)
	}
	for j, h := range horizon {
		want := plain.Quantiles[j]
		if later.holds(now.Add(h)) {
			want = plain.Quantiles[4*12-2] // five minutes before it begins
		}
		if got := f.Quantiles[j]; math.Abs(got[middle]-want[middle]) > 15 {
			t.Fatalf("%v ahead, of a freeze from 4h to 10h, %.1f, want about %.1f", h, got[middle], want[middle])
		}
	}

	past := Event{Name: "freeze", From: start.Add(10 * 24 * time.Hour), To: start.Add(12 * 24 * time.Hour), Freeze: true}
	frozen := history
	frozen.Values = slices.Clone(history.Values)
	for at := indexAt(frozen, past.From); at < indexAt(frozen, past.To); at++ {
		frozen.Values[at] = 5
	}
	if f, err = (Informed{Auto{}, []Event{past}}).Forecast(frozen, seasons, horizon, now); err != nil {
		t.Fatal(err)
	}
	unaware := auto(t, frozen, horizon)
	apart, worse := 0.0, 0.0
	for j := range horizon {
		apart += math.Abs(f.Quantiles[j][middle] - plain.Quantiles[j][middle])
		worse += math.Abs(unaware.Quantiles[j][middle] - plain.Quantiles[j][middle])
	}
	if apart > 0.7*worse {
		t.Errorf("a freeze of two days moves the forecast by %.0f if told, by %.0f if not", apart, worse)
	}
}

func TestEventsAreChecked(t *testing.T) {
	history := fives(3, 1)
	for _, test := range []struct {
		event Event
		want  string
	}{
		{Event{Name: "x", From: start, To: start}, "write a later time"},
		{Event{Name: "x", From: start, To: start.Add(time.Hour), Factor: -1}, "write one from 0.01 to 100"},
		{Event{Name: "x", From: start, To: start.Add(time.Hour), Factor: math.NaN()}, "write one from 0.01 to 100"},
	} {
		_, err := Informed{Auto{}, []Event{test.event}}.Forecast(history, nil, steps(history.Step, 3), history.End())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.event, err, test.want)
		}
	}
	never := Event{Name: "new", From: history.End(), To: history.End().Add(time.Hour)}
	f, err := Informed{Auto{}, []Event{never}}.Forecast(history, nil, steps(history.Step, 3), history.End())
	if err != nil {
		t.Fatal(err)
	}
	checkForecast(t, f, 3)
}

// TestQuietTimes are those at which no event holds, whatever their order, and however they overlap.
func TestQuietTimes(t *testing.T) {
	history := fives(1, 9)
	minutes := func(n int) time.Time { return history.Start.Add(time.Duration(n) * time.Minute) }
	var all events
	for _, of := range [][2]int{{-60, 3}, {11, 14}, {60, 61}, {120, 300}, {180, 240}, {1430, 99_999}, {88_000, 99_999}} {
		all = append(all, known{Event: Event{From: minutes(of[0]), To: minutes(of[1])}})
	}
	for at, value := range all.quiet(history).Values {
		held := slices.ContainsFunc(all, func(e known) bool { return e.holds(timeAt(history, at)) })
		if held != math.IsNaN(value) || !held && value != history.Values[at] {
			t.Errorf("at %s: %v, an event holds: %v", timeAt(history, at).Format(time.TimeOnly), value, held)
		}
	}
}

// BenchmarkManyEvents takes 200 hours, as many as calls may leave, out of four weeks of minutes.
func BenchmarkManyEvents(b *testing.B) {
	history := Series{Start: start, Step: time.Minute}
	for i := range 28 * 24 * 60 {
		history.Values = append(history.Values, float64(i%1440))
	}
	var all []Event
	for i := range 200 {
		from := start.Add(time.Duration(3*i) * time.Hour)
		all = append(all, Event{Name: from.String(), From: from, To: from.Add(time.Hour)})
	}
	for b.Loop() {
		WithoutEvents(history, all)
	}
}
