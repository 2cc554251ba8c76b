package member

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSTLIsThatOfR compares with stl(ts(y, frequency = 6), s.window = 11) of R 4.2.
func TestSTLIsThatOfR(t *testing.T) {
	var values []float64
	for i := range 40 {
		values = append(values, 10+0.3*float64(i)+4*math.Sin(2*math.Pi*float64(i)/6)+float64(i*i%7))
	}
	x := DecomposeSTL(values, 6)
	for i, want := range map[int]float64{
		0: -0.06625150171, 1: 3.12766643731, 9: -0.07415589802, 22: -3.79269290850, 34: -3.93823396653,
		35: -3.58207032935, 36: 0.29581994349, 37: 3.87382277578, 38: 3.44505953752, 39: -0.03193235957,
	} {
		if got := values[i] - x.Adjusted[i]; math.Abs(got-want) > 1e-9 {
			t.Errorf("season at %d is %v, R's is %v", i, got, want)
		}
	}
	for i := 34; i < 40; i++ {
		if got, want := x.Last.Restore(0, i+6), values[i]-x.Adjusted[i]; math.Abs(got-want) > 1e-12 {
			t.Errorf("the season after %d is %v, want that of %d again, %v", i+5, got, i, want)
		}
	}
}

func TestSTLWantsMoreThanTwoSeasons(t *testing.T) {
	values := []float64{1, 5, 1, 5, 1, 5}
	for _, season := range []int{0, 1, 3} {
		x := DecomposeSTL(values, season)
		for i, value := range values {
			if x.Adjusted[i] != value || x.Last.Restore(value, i) != value {
				t.Errorf("season %d: value %d became %v", season, i, x.Adjusted[i])
			}
		}
	}
}

func TestAICcWantsATrendWhereThereIsOne(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	var level, rising []float64
	height, slope := 0.0, 0.0
	for range 400 {
		slope = 0.9*slope + 0.2*random.NormFloat64()
		height += slope
		level = append(level, random.NormFloat64())
		rising = append(rising, height+0.1*random.NormFloat64())
	}
	if s := FitByAICc(level); s.damping != 0 {
		t.Errorf("noise around a level got a trend: %+v", s)
	}
	if s := FitByAICc(rising); s.damping == 0 {
		t.Errorf("a slope that lasts got no trend: %+v", s)
	}
}
