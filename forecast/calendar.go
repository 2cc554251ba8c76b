package forecast

import (
	"math"
	"time"
)

// calendar says how the time of a series divides: into the season that its models build on,
// and into folds of that length, counted back from the end. Fold 0 is what has not come yet,
// fold 1 the last whole season, and so on: what is fitted for a fold has seen nothing of it.
type calendar struct {
	// n is the number of values.
	n int
	// span is the length of a fold in steps: the season, or a part of the history without one.
	span int
	// seasonal says that span is a season, of which the history holds at least two.
	seasonal bool
	// long is the length of a longer season, in steps; zero without one.
	long int
	// sines and cosines are those of the slots of a season.
	sines, cosines []float64
}

const (
	// fewestLong is how many longer seasons there must be before models look back by one.
	fewestLong = 9.0 / 7
	// foldsWithoutSeason is into how many folds a history without a season is cut.
	foldsWithoutSeason = 12
)

func newCalendar(n int, seasons []float64, step time.Duration) calendar {
	c := calendar{n: n, span: max(min(n/foldsWithoutSeason, int(24*time.Hour/step)), 1)}
	if len(seasons) > 0 {
		c.span, c.seasonal = int(math.Round(seasons[0])), true
	}
	for _, season := range seasons[min(1, len(seasons)):] {
		if c.long == 0 && season >= 2*float64(c.span) && fewestLong*season <= float64(n) {
			c.long = int(math.Round(season))
		}
	}
	if c.seasonal {
		c.sines, c.cosines = make([]float64, c.span), make([]float64, c.span)
		for slot := range c.sines {
			c.sines[slot], c.cosines[slot] = math.Sincos(2 * math.Pi * float64(slot) / float64(c.span))
		}
	}
	return c
}

// fold is that of an origin: the latest whose models had seen nothing after it. What came after
// the fit is forecast by the models of fold 0.
func (c calendar) fold(origin int) int { return max((c.n-1-origin+c.span-1)/c.span, 0) }

// cut is the number of values that the models of a fold have seen.
func (c calendar) cut(fold int) int { return c.n - fold*c.span }

// folds is how many whole folds there are.
func (c calendar) folds() int { return c.n / c.span }

// slot is the place of an index in the season, the same for every season.
func (c calendar) slot(index int) int {
	slot := (index - c.n) % c.span
	if slot < 0 {
		slot += c.span
	}
	return slot
}

// part is a share of the span in steps, at least one.
func (c calendar) part(share float64) int { return max(int(math.Round(share*float64(c.span))), 1) }
