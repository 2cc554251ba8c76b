package statistics

import (
	"math"
	"testing"
)

func TestEstimate(t *testing.T) {
	got := Estimated([]float64{3, 1, 2, math.NaN(), math.Inf(1), 4, 5})
	if got.Median != 3 || got.Low < 1 || got.Low > 3 || got.High < 3 || got.High > 5 {
		t.Errorf("%+v", got)
	}
	if got != Estimated([]float64{3, 1, 2, 4, 5}) {
		t.Error("the same values give another interval")
	}
	if got := Estimated(nil); !math.IsNaN(got.Median) {
		t.Errorf("of nothing: %+v", got)
	}
	if got := Quantile([]float64{4, 1, 2, 3}, 0.5); got != 2.5 {
		t.Errorf("median %v, want 2.5", got)
	}
}

// TestResampled: a ratio of medians, which single pairs do not decide in which there is about
// nothing to divide by.
func TestResampled(t *testing.T) {
	a, b := []float64{3, 3.3, -3, 2.7, 3, 3.1, 2.9, 3, 3}, []float64{2, 0, -0.1, 2.1, 1.9, 2, 2.2, 1.8, 2}
	ratio := func(pairs []int) float64 {
		var as, bs []float64
		for _, i := range pairs {
			as, bs = append(as, a[i]), append(bs, b[i])
		}
		return Quantile(as, 0.5) / Quantile(bs, 0.5)
	}
	if got := Resampled(len(a), ratio); got.Median != 1.5 || got.Low < 1.2 || got.High > 2 || got != Resampled(len(a), ratio) {
		t.Errorf("%+v", got)
	}
	if got := Resampled(0, ratio); !math.IsNaN(got.Median) {
		t.Errorf("of nothing: %+v", got)
	}
}
