package webhook

import (
	"cmp"
	"fmt"
	"slices"
)

// Excess is a total that what stands is above: from before it was set, or written while no
// webhook answered.
type Excess struct {
	Measure Measure
	// Standing is what there is, and Limit what the total allows, in units of Measure.
	Standing, Limit int64
	// By is what sets the total.
	By Setting
}

// Excesses are the totals of a holder that what stands is above, in the order of their measures.
// What is only coming does not count.
func (l Ledger) Excesses(settings []Setting) []Excess {
	var out []Excess
	for _, s := range settings {
		m := totals[s.Annotation]
		limit, bound := s.limit(Object{}, &draft{}, true)
		if standing := l.Standing.of(m); bound && standing > limit {
			out = append(out, Excess{m, standing, limit, s})
		}
	}
	slices.SortFunc(out, func(a, b Excess) int { return cmp.Compare(a.Measure, b.Measure) })
	return out
}

// String says what stands above what.
func (e Excess) String() string {
	return fmt.Sprintf("%d %s stand, at most %d in all allowed by %s", e.Standing, e.Measure, e.Limit, source(e.By))
}
