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
