package policy

import (
	"math"
	"testing"
	"time"

	"forewarm.dev/forecast"
)

// knows is a model that says what it was told last, and how much it knew.
type knows struct{ lengths *[]int }

func (k knows) Name() forecast.Source { return "knows" }

func (k knows) Forecast(history forecast.Series, _, horizon []time.Duration, now time.Time) (forecast.Forecast, error) {
	*k.lengths = append(*k.lengths, len(history.Values))
	if !now.Equal(history.End()) {
		panic("asked for another time than the end of what it knows")
	}
	f := forecast.Forecast{Horizon: horizon}
	for rise := range 10 {
		path := make([]float64, len(horizon))
		for i := range path {
			path[i] = history.Values[len(history.Values)-1] + float64(rise)
		}
		f.Paths = append(f.Paths, path)
	}
	return f, nil
}

func TestBacktestSeesNothingLater(t *testing.T) {
	series := forecast.Series{Step: time.Minute, Values: []float64{5, 5, 5, 6, 8, 7, 9}}
	var lengths []int
	b := Backtest{Model: knows{&lengths}, Horizon: []time.Duration{time.Minute, 2 * time.Minute}, Tau: 0.9, Most: 2}
	outlooks, err := b.Outlooks(series, 4)
	if err != nil {
		t.Fatal(err)
	}
	if len(lengths) != 2 || lengths[0] != 4 || lengths[1] != 6 {
		t.Errorf("asked with %v values, want 4 and 6: two questions about the last four", lengths)
	}
	for i, want := range []float64{math.NaN(), math.NaN(), math.NaN(), 14, 16, 15, 17} {
		if got := outlooks[i].Level; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("level seen at %d: %v, want %v", i, got, want)
		}
	}
}

// TestBacktestOfAuto: fitted daily and told the values since, it foresees a daily ramp.
func TestBacktestOfAuto(t *testing.T) {
	const perDay = 48
	series := forecast.Series{Step: 30 * time.Minute, Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	for i := range 10 * perDay {
		series.Values = append(series.Values, 10)
		if i%perDay >= 16 && i%perDay < 32 {
			series.Values[i] = 40
		}
	}
	b := Backtest{Refit: perDay, Seasons: []time.Duration{24 * time.Hour}, Horizon: []time.Duration{30 * time.Minute, time.Hour}, Tau: 0.9, Most: 1000}
	outlooks, err := b.Outlooks(series, 2*perDay)
	if err != nil {
		t.Fatal(err)
	}
	before, calm := outlooks[9*perDay+14], outlooks[9*perDay+4]
	if before.Level < 35 || calm.Level > 15 {
		t.Errorf("level an hour before the ramp %v and at night %v, want about 40 and 10", before.Level, calm.Level)
	}
}
