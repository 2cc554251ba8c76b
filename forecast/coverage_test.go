package forecast

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// wandering is demand with a daily pattern, a level that wanders, and noise, all of a size that
// the seed draws. From a value on, the variance of both is larger by a factor.
func wandering(seed uint64, days, from int, factor float64) Series {
	random := rand.New(rand.NewPCG(seed, 9))
	draw := func(low, high float64) float64 { return low + (high-low)*random.Float64() }
	swing, stays, push, noise, level := draw(5, 50), draw(0.9, 0.998), draw(0.3, 2), draw(0.5, 4), 0.0
	s := Series{Start: start, Step: 5 * time.Minute}
	for i := range days * 288 {
		size := 1.0
		if i >= from {
			size = math.Sqrt(factor)
		}
		level = stays*level + size*push*random.NormFloat64()
		value := 150 + swing*math.Sin(float64(i)*2*math.Pi/288) + level + size*noise*random.NormFloat64()
		s.Values = append(s.Values, math.Max(value, 0))
	}
	return s
}

// covered counts how often what came was within quantiles over the next hour.
type covered struct {
	below map[float64]float64
	band  float64
	n     float64
}

func (c *covered) ask(t *testing.T, whole Series, cut int) {
	t.Helper()
	past := whole
	past.Values = whole.Values[:cut]
	f, err := Auto{}.Forecast(past, seasons, steps(whole.Step, 12), past.End())
	if err != nil {
		t.Fatal(err)
	}
	for j, row := range f.Quantiles {
		actual := whole.Values[cut+j]
		at := func(level float64) float64 { return row[slices.Index(f.Levels, level)] }
		for level := range c.below {
			if actual <= at(level) {
				c.below[level]++
			}
		}
		if actual >= at(0.1) && actual <= at(0.9) {
			c.band++
		}
		c.n++
	}
}

// seeds is how many series are looked at: all with FOREWARM_LONG=1, else some.
func seeds() uint64 {
	if os.Getenv("FOREWARM_LONG") != "" {
		return 200
	}
	return 25
}

func TestUpperQuantilesCoverWhatTheySay(t *testing.T) {
	c := covered{below: map[float64]float64{0.9: 0, 0.95: 0, 0.99: 0}}
	slack := 1.0
	if seeds() < 200 {
		slack = 1.5 // chance
	}
	for seed := range seeds() {
		whole := wandering(seed, 12, 0, 1)
		for k := range 5 {
			c.ask(t, whole, len(whole.Values)-12-k*101)
		}
	}
	for level, within := range map[float64]float64{0.9: 0.03, 0.95: 0.03, 0.99: 0.01} {
		share := c.below[level] / c.n
		t.Logf("%.1f %% are below the %v quantile", 100*share, level)
		if math.Abs(share-level) > slack*within {
			t.Errorf("%.1f %% are below the %v quantile, want that within %v points", 100*share, level, 100*slack*within)
		}
	}
}

// TestTheBandFollowsTheNoise holds that a day after the variance has tripled the band covers
// what it says again, and that it did not right after.
func TestTheBandFollowsTheNoise(t *testing.T) {
	const shift = 8 * 288
	var before, after, later covered
	for seed := range seeds() {
		whole := wandering(seed, 12, shift, 3)
		before.ask(t, whole, shift-12)
		after.ask(t, whole, shift)
		for _, hours := range []int{18, 21, 24} {
			later.ask(t, whole, shift+hours*12-12)
		}
	}
	share := func(c covered) float64 { return c.band / c.n }
	t.Logf("the 80 %% band covers %.3f before, %.3f right after, %.3f within a day", share(before), share(after), share(later))
	if got := share(later); got < 0.75 || got > 0.85 {
		t.Errorf("a day after the variance tripled the 80 %% band covers %.3f", got)
	}
	if got := share(after); got > 0.75 {
		t.Errorf("right after it covers %.3f: the test tells nothing", got)
	}
}
