package backtest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"forewarm.dev/forecast"
)

// TestIntervalHoldsTheTruth holds that of many series whose values are inside with a probability of
// 0.8, which changes together for hours, the interval has 0.8 inside in most,
// and is narrow. Seven blocks a series make it somewhat narrower than it says.
func TestIntervalHoldsTheTruth(t *testing.T) {
	holds, width := 0, 0.0
	const runs = 60
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, 3))
		series := make([][]Band, 12)
		for i := range series {
			state := 0.0
			for range Dense().Origins {
				state = 0.6*state + 0.06*random.NormFloat64()
				inside := 0
				for range 12 {
					if random.Float64() < 0.8+state {
						inside++
					}
				}
				series[i] = append(series[i], Band{inside, 12})
			}
		}
		share, low, high := Interval(series, seed)
		if share < low || share > high {
			t.Fatalf("share %.3f outside of its interval %.3f..%.3f", share, low, high)
		}
		if low <= 0.8 && high >= 0.8 {
			holds++
		}
		width += (high - low) / runs
	}
	if holds < runs*3/4 || width > 0.06 || width < 0.01 {
		t.Errorf("0.8 is inside of %d of %d intervals, of a mean width of %.3f", holds, runs, width)
	}
	if share, _, _ := Interval(nil, 1); !math.IsNaN(share) {
		t.Errorf("no series cover %v", share)
	}
}

func TestInsideOf(t *testing.T) {
	series := forecast.Series{Step: 30 * time.Minute, Values: []float64{0, 5, math.NaN(), 5, 5}}
	row := []float64{4, 4, 4, 4, 5, 5, 5, 5, 6}
	out := []float64{6, 6, 6, 6, 6, 6, 6, 6, 7}
	got := InsideOf(series, []Prediction{{Cut: 1, Quantiles: [][]float64{row, row}}, {Cut: 3, Quantiles: [][]float64{row, out}}, {Cut: 4, Quantiles: [][]float64{out, row}}}, Hour)
	want := []Band{{1, 1}, {1, 2}, {0, 1}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("prediction %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}
