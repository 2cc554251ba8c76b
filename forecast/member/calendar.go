package member

import (
	"math"
	"time"
)

// Calendar says how the time of a series divides: into the season that its models build on,
// and into folds of that length, counted back from the end. Fold 0 is what has not come yet,
// fold 1 the last whole season, and so on: what is fitted for a fold has seen nothing of it.
type Calendar struct {
	// N is the number of values.
	N int
	// Span is the length of a fold in steps: the season, or a part of the history without one.
	Span int
	// Seasonal says that Span is a season, of which the history holds at least two.
	Seasonal bool
	// Long is the length of a longer season, in steps; zero without one.
	Long int
	// sines and cosines are those of the slots of a season.
	sines, cosines []float64
}

const (
	// fewestLong is how many longer seasons there must be before models look back by one.
	fewestLong = 9.0 / 7
	// foldsWithoutSeason is into how many folds a history without a season is cut.
	foldsWithoutSeason = 12
)

// NewCalendar divides n values by their seasons, in steps and shortest first; there may be none.
func NewCalendar(n int, seasons []float64, step time.Duration) Calendar {
	c := Calendar{N: n, Span: max(min(n/foldsWithoutSeason, int(24*time.Hour/step)), 1)}
	if len(seasons) > 0 {
		c.Span, c.Seasonal = int(math.Round(seasons[0])), true
	}
	for _, season := range seasons[min(1, len(seasons)):] {
		if c.Long == 0 && season >= 2*float64(c.Span) && fewestLong*season <= float64(n) {
			c.Long = int(math.Round(season))
		}
	}
	if c.Seasonal {
		c.sines, c.cosines = make([]float64, c.Span), make([]float64, c.Span)
		for slot := range c.sines {
			c.sines[slot], c.cosines[slot] = math.Sincos(2 * math.Pi * float64(slot) / float64(c.Span))
		}
	}
	return c
}

// Fold is that of an origin: the latest whose models had seen nothing after it. What came after
// the fit is forecast by the models of fold 0.
func (c Calendar) Fold(origin int) int { return max((c.N-1-origin+c.Span-1)/c.Span, 0) }

// Cut is the number of values that the models of a fold have seen.
func (c Calendar) Cut(fold int) int { return c.N - fold*c.Span }

// Folds is how many whole folds there are.
func (c Calendar) Folds() int { return c.N / c.Span }

// slot is the place of an index in the season, the same for every season.
func (c Calendar) slot(index int) int {
	slot := (index - c.N) % c.Span
	if slot < 0 {
		slot += c.Span
	}
	return slot
}

// part is a share of the span in steps, at least one.
func (c Calendar) part(share float64) int { return max(int(math.Round(share*float64(c.Span))), 1) }
