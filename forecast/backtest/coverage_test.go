package backtest

import (
	"math"
	"testing"
	"time"

	"forewarm.dev/forecast"
)

func TestCoverageByHorizonAndHour(t *testing.T) {
	series := forecast.Series{Start: start, Step: 30 * time.Minute, Values: make([]float64, 96)}
	series.Values[50] = math.NaN() // 01:00 of the second day, never scored
	series.Values[53] = 20         // 02:30, beyond every band
	p := Prediction{Cut: 48}
	for range 48 {
		p.Quantiles = append(p.Quantiles, []float64{-1, 0, 0, 0, 0, 0, 0, 0, 1})
	}
	var got Coverage
	got.Add(series, []Prediction{p, p})
	for i, want := range []Band{{4, 4}, {4, 6}, {12, 12}, {24, 24}, {48, 48}} {
		if got.Horizon[i] != want {
			t.Errorf("up to %v: %+v, want %+v", Horizons()[i], got.Horizon[i], want)
		}
	}
	if got.Hour[1] != (Band{2, 2}) || got.Hour[2] != (Band{2, 4}) || got.Hour[2].Share() != 0.5 {
		t.Errorf("hours 1 and 2: %+v and %+v", got.Hour[1], got.Hour[2])
	}
	got.Add(series, []Prediction{{Cut: 90, Quantiles: p.Quantiles}}) // its end is beyond the series
	if got.Horizon[4] != (Band{48, 48}) {
		t.Errorf("a prediction beyond the end is counted: %+v", got.Horizon[4])
	}
}
