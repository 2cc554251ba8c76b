package main

import (
	"cmp"
	"math"
	"slices"

	"forewarm.dev/capacity/simulate"
)

// frontier is what an arm reaches at different settings.
type frontier []simulate.Outcome

func (f *frontier) add(o simulate.Outcome) { *f = append(*f, o) }

// point is an achieved hit rate and the mean idle over mean demand that it took.
type point struct{ hit, idle float64 }

// efficient are the points of which none has both a higher hit rate and less idle, in order.
func (f frontier) efficient() []point {
	var all []point
	for _, o := range f {
		all = append(all, point{o.HitRate(), o.IdleShare()})
	}
	slices.SortFunc(all, func(a, b point) int { return cmp.Or(cmp.Compare(b.hit, a.hit), cmp.Compare(a.idle, b.idle)) })
	var kept []point
	for _, p := range all {
		if len(kept) == 0 || p.idle < kept[len(kept)-1].idle {
			kept = append(kept, p)
		}
	}
	slices.Reverse(kept)
	return kept
}

// idleAt interpolates between the points; below the lowest and beyond the highest is nothing.
func idleAt(points []point, hit float64) (float64, bool) {
	for i, p := range points {
		switch {
		case p.hit == hit:
			return p.idle, true
		case p.hit > hit && i == 0:
			return 0, false
		case p.hit > hit:
			before := points[i-1]
			return before.idle + (p.idle-before.idle)*(hit-before.hit)/(p.hit-before.hit), true
		}
	}
	return 0, false
}

// ratio is ours over theirs: the geometric mean of the idle at the same hit rates. Where none of
// them lies on both frontiers, the middle of what they have in common is compared.
func ratio(ours, theirs frontier, hits []float64) *float64 {
	a, b := ours.efficient(), theirs.efficient()
	sum, n := 0.0, 0
	compare := func(hit float64) {
		x, ok := idleAt(a, hit)
		y, also := idleAt(b, hit)
		if ok && also && x > 0 && y > 0 {
			sum += math.Log(x / y)
			n++
		}
	}
	for _, hit := range hits {
		compare(hit)
	}
	if low, high := max(a[0].hit, b[0].hit), min(a[len(a)-1].hit, b[len(b)-1].hit); n == 0 && low <= high && len(hits) > 1 {
		compare((low + high) / 2)
	}
	if n == 0 {
		return nil
	}
	return new(rounded(math.Exp(sum/float64(n)), 4))
}

// cheapest is the outcome that costs the least at the costs of a case.
func (f frontier) cheapest(c simulate.Case) *armResult {
	var best *armResult
	least := math.Inf(1)
	for _, o := range f {
		missed := float64(o.ArrivedGPUs - o.ReadyGPUs)
		smallest := c.Limits.Chunks[len(c.Limits.Chunks)-1]
		cost := o.IdleGPUHours()*smallest.IdleCostPerHour + missed*smallest.WaitCostPerHour*c.Limits.LeadTime.Hours()
		if cost < least {
			least, best = cost, new(resultOf(o))
		}
	}
	return best
}

// geometric is the geometric mean of the ratios that there are, and the highest.
func geometric(ratios []*float64) (mean, worst *float64) {
	sum, n := 0.0, 0
	for _, r := range ratios {
		if r == nil {
			continue
		}
		sum += math.Log(*r)
		n++
		if worst == nil || *r > *worst {
			worst = r
		}
	}
	if n == 0 {
		return nil, nil
	}
	return new(rounded(math.Exp(sum/float64(n)), 4)), worst
}
