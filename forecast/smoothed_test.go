package forecast

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func references() []Model { return []Model{Theta{}, ETS{}, STLETS{}, Naive2{}} }

func medians(t *testing.T, model Model, history Series, n int) []float64 {
	t.Helper()
	f, err := model.Forecast(history, seasons, steps(history.Step, n), history.End())
	if err != nil {
		t.Fatal(err)
	}
	checkForecast(t, f, n)
	var row []float64
	for _, quantiles := range f.Quantiles {
		row = append(row, quantiles[slices.Index(f.Levels, 0.5)])
	}
	return row
}

// hours is n hours of a function of the hour.
func hours(n int, at func(hour float64) float64) Series {
	s := Series{Start: start, Step: time.Hour}
	for i := range n {
		s.Values = append(s.Values, at(float64(i)))
	}
	return s
}

func near(t *testing.T, got, want []float64, tolerance float64) {
	t.Helper()
	for i := range want {
		if math.Abs(got[i]-want[i]) > tolerance {
			t.Errorf("step %d: %v, want %v", i+1, got[i], want[i])
		}
	}
}

func TestNaive2RepeatsTheShape(t *testing.T) {
	shape := func(hour float64) float64 { return 1 + math.Sin(hour*math.Pi/12)/2 }
	for name, at := range map[string]func(hour float64) float64{
		"factors": func(hour float64) float64 { return 8.5 * shape(hour) },
		"addends": func(hour float64) float64 { return 8.5 * (shape(hour) - 0.5) },
	} {
		t.Run(name, func(t *testing.T) {
			near(t, medians(t, Naive2{}, hours(10*24, at), 24), hours(264, at).Values[240:], 1e-9)
		})
	}
}

func TestASeasonMustPassTheTest(t *testing.T) {
	// Noise without a season: what is repeated is the last value alone.
	state := uint64(1)
	noise := hours(10*24, func(float64) float64 {
		state = state*6364136223846793005 + 1442695040888963407
		return 10.5 + float64(state>>33)/(1<<31)
	})
	last := noise.Values[len(noise.Values)-1]
	near(t, medians(t, Naive2{}, noise, 24), slices.Repeat([]float64{last}, 24), 1e-9)
}

func TestThetaByHand(t *testing.T) {
	// On a straight line smoothing keeps up at the largest gain, and half the slope is drift.
	line := hours(48, func(hour float64) float64 { return 1.5 + hour })
	want := make([]float64, 5)
	for i := range want {
		want[i] = 48.5 + float64(i+1)/2
	}
	near(t, medians(t, Theta{}, line, 5), want, 1e-3)
}

func TestETSDampsTheTrend(t *testing.T) {
	row := medians(t, ETS{}, hours(240, func(hour float64) float64 { return 1.5 + 2*hour }), 12)
	for i := 1; i < len(row); i++ {
		before, rise := 2.0, row[i]-row[i-1]
		if i > 1 {
			before = row[i-1] - row[i-2]
		}
		if rise <= 0 || rise >= before {
			t.Errorf("step %d rises by %v, the one before by %v", i+1, rise, before)
		}
	}
	if row[0] < 480.5 || row[0] > 482 {
		t.Errorf("the first step ahead of 479.5 is %v", row[0])
	}
}

func TestReferencesAnswerAnything(t *testing.T) {
	gaps := fives(6, 1)
	for i := 100; i < 500; i += 3 {
		gaps.Values[i] = math.NaN()
	}
	tests := map[string]Series{
		"none":     {Start: start, Step: time.Minute},
		"one":      series(5),
		"few":      series(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
		"zeros":    hours(300, func(float64) float64 { return 0 }),
		"constant": hours(300, func(float64) float64 { return 7 }),
		"huge":     hours(300, func(hour float64) float64 { return 1e12 * math.Mod(hour, 2) }),
		"gaps":     gaps,
	}
	for name, history := range tests {
		for _, model := range references() {
			t.Run(name+"/"+string(model.Name()), func(t *testing.T) {
				row := medians(t, model, history, 30)
				if diff := cmp.Diff(row, medians(t, model, history, 30)); diff != "" {
					t.Errorf("differs between two runs: %s", diff)
				}
			})
		}
	}
	for _, model := range references() {
		if _, err := model.Forecast(series(1), seasons, nil, start); err == nil {
			t.Errorf("%s accepts no horizon", model.Name())
		}
	}
}
