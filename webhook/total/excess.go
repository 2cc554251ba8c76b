package total

import (
	"cmp"
	"fmt"
	"slices"

	"forewarm.dev/webhook"
)

// Excess is a total that what stands is above: from before it was set, or written while no
// webhook answered.
type Excess struct {
	Measure webhook.Measure
	// Standing is what there is, and Limit what the total allows, in units of Measure.
	Standing, Limit int64
	// By is what sets the total.
	By webhook.Setting
}

// Excesses are the totals of a holder that what stands is above, in the order of their measures.
// What is only coming does not count.
func (l Ledger) Excesses(settings []webhook.Setting) []Excess {
	var out []Excess
	for _, s := range settings {
		m := totals[s.Annotation]
		limit, bound, _ := s.Limit(webhook.Object{})
		if standing := l.Standing.Of(m); bound && standing > limit {
			out = append(out, Excess{m, standing, limit, s})
		}
	}
	slices.SortFunc(out, func(a, b Excess) int { return cmp.Compare(a.Measure, b.Measure) })
	return out
}

// String says what stands above what.
func (e Excess) String() string {
	return fmt.Sprintf("%d %s stand, at most %d in all allowed by %s", e.Standing, e.Measure, e.Limit, webhook.Source(e.By))
}
