package policy

import (
	"math"
	"slices"

	"forewarm.dev/capacity"
)

// candidate is a policy, bounded in each block by what was known before it.
type candidate struct {
	capacity.Policy
	// most are the bounds per block, the last beyond the history; nil for none.
	most []float64
}

// at is the policy in a block.
func (c candidate) at(block int) capacity.Policy {
	p := c.Policy
	if c.most != nil {
		p.Most = c.most[block]
	}
	return p
}

// blocks are equal parts of what is judged.
type blocks struct {
	starts []int
	length int
}

// perChoice is how many blocks there are: the days of two weeks.
const perChoice = 14

// blocks are those of the last n intervals, at least one.
func (h History) blocks(t Terms, n int) blocks {
	count := len(h.Demand)
	first := max(count-n, t.Lead+1)
	b := blocks{length: max((count-first+perChoice-1)/perChoice, 1)}
	for at := first; at < count; at += b.length {
		b.starts = append(b.starts, at)
	}
	return b
}

// of is the block of an interval; what is before the first counts for it.
func (b blocks) of(i int) int { return max(i-b.starts[0], 0) / b.length }

// levels are the shares of past errors that a candidate covers.
func levels() []float64 {
	return []float64{0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 1}
}

// bounds are the highest demands of n intervals before each block began, and before the end; zero, which is
// none, where less than two blocks are known. A bound is judged only by what came after it was known:
// the highest of all would never be seen to bite.
func (h History) bounds(n int, b blocks) []float64 {
	most := make([]float64, 0, len(b.starts)+1)
	for _, at := range append(slices.Clone(b.starts), len(h.Demand)) {
		known := h.Demand[max(at-n, 0):at]
		if len(known) < 2*b.length {
			most = append(most, 0)
			continue
		}
		most = append(most, max(slices.Max(known), 1))
	}
	return most
}

// candidates are nothing ahead, headroom as the demand has risen within a window, in chunks and in
// shares, and the forecast corrected by what it has missed (split conformal: Vovk et al. 2005); all but the first
// also with a bound. Headroom as high as the bound is a constant pool.
func (h History) candidates(t Terms, n int, b blocks) []candidate {
	all := h.unbounded(t, n)
	if h.ByHand {
		return all
	}
	most := h.bounds(n, b)
	for _, c := range all[1:] {
		all = append(all, candidate{Policy: c.Policy, most: most})
	}
	return all
}

// peaks are the highest demands of each interval and the width after it.
func (h History) peaks(width int) []float64 {
	peaks := slices.Clone(h.Demand)
	slices.Reverse(peaks)
	peaks = highest(len(peaks), width, func(i int) float64 { return peaks[i] })
	slices.Reverse(peaks)
	return peaks
}

// rises are how far demand rose within the width after each interval from the first on.
func (h History) rises(width, first int) []float64 {
	var rises []float64
	peaks := h.peaks(width)
	for i := first; i < len(h.Demand)-width; i++ {
		rises = append(rises, peaks[i]-h.Demand[i])
	}
	return rises
}

func (h History) unbounded(t Terms, n int) []candidate {
	first, width := max(len(h.Demand)-n, 0), t.Lead+1
	peaks, rises := h.peaks(width), h.rises(width, first)
	var shares, errors []float64
	for i := first; i < len(h.Demand)-width; i++ {
		shares = append(shares, (peaks[i]-h.Demand[i])/max(h.Demand[i], 1))
		if len(h.Outlooks) > 0 && !math.IsNaN(h.Outlooks[i].Level) {
			errors = append(errors, (peaks[i]-h.Outlooks[i].Level)/h.Outlooks[i].Spread)
		}
	}
	all := []candidate{{Policy: capacity.Policy{Kind: capacity.Reactive}}}
	for _, rise := range at(rises, levels()) {
		all = append(all, candidate{Policy: capacity.Policy{Kind: capacity.Static, Headroom: math.Ceil(rise)}})
	}
	for _, share := range at(shares, levels()) {
		all = append(all, candidate{Policy: capacity.Policy{Kind: capacity.Static, Share: share}})
	}
	if len(errors) == len(rises) {
		for _, margin := range append(at(errors, levels()), 0) {
			all = append(all, candidate{Policy: capacity.Policy{Kind: capacity.Forecast, Margin: margin}})
		}
	}
	return all
}

// at are quantiles of values, each once.
func at(values, levels []float64) []float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	var found []float64
	for _, level := range levels {
		found = append(found, values[max(int(math.Ceil(level*float64(len(values))))-1, 0)])
	}
	return slices.Compact(found)
}
