package policy

import (
	"math"

	"forewarm.dev/capacity"
)

// History is what a chunk's demand was, and what was foreseen of it, per interval.
type History struct {
	// Demand is the highest demand within each interval, in chunks.
	Demand []float64
	// Outlooks are what was foreseen at the end of each interval of Demand, at the service level
	// of the costs; none where a pool has no forecast yet.
	Outlooks []capacity.Outlook
	// ByHand has only headroom tried, in chunks and in shares: what an admin sets by hand.
	ByHand bool
}

// Terms are the costs and times of a pool's chunk.
type Terms struct {
	// WaitCost is what one chunk that waits for a node costs, IdleCost what one chunk that idles
	// for an interval does.
	WaitCost, IdleCost float64
	// Lead and Hold are in intervals: from asking until capacity is there, and for how long it is
	// then kept.
	Lead, Hold int
}

// TermsOf are the terms of a chunk under limits.
func TermsOf(chunk capacity.Chunk, limits capacity.Limits) Terms {
	return Terms{
		WaitCost: chunk.WaitCostPerHour * limits.LeadTime.Hours(),
		IdleCost: chunk.IdleCostPerHour * limits.Interval.Hours(),
		Lead:     int(math.Round(float64(limits.LeadTime) / float64(limits.Interval))),
		Hold:     int(math.Ceil(float64(limits.HoldTime()) / float64(limits.Interval))),
	}
}

// target is what a policy would have asked for at the end of an interval, the demand of then
// included.
func (h History) target(p capacity.Policy, i int) float64 {
	now := h.Demand[i]
	switch p.Kind {
	case capacity.Reactive:
		return now
	case capacity.Static:
		return math.Ceil(p.Bounded(now+p.Headroom+p.Share*now, now) - 1e-9)
	default:
		if math.IsNaN(h.Outlooks[i].Level) {
			return now
		}
		return math.Ceil(p.Bounded(h.Outlooks[i].Level+p.Margin*h.Outlooks[i].Spread, now) - 1e-9)
	}
}

// score is what a candidate would have done over the blocks, its cost per interval. What is
// asked for is kept for the hold time, and is there once it has been asked for all through a lead
// time. Demand beyond that waits, once, when it arrives.
func (h History) score(c candidate, t Terms, b blocks) Score {
	count, first := len(h.Demand), b.starts[0]
	begin := max(first-t.Lead-t.Hold-1, 0)
	policies := make([]capacity.Policy, len(b.starts))
	for i := range policies {
		policies[i] = c.at(i)
	}
	asked := highest(count-begin, t.Hold, func(i int) float64 { return h.target(policies[b.of(begin+i)], begin+i) })
	ready := lowest(asked, t.Lead)
	var idle, waits, arrived float64
	for j := first; j < count; j++ {
		had := ready[j-1-begin] // what was there when the interval began
		idle += max(had-h.Demand[j], 0)
		waits += max(h.Demand[j]-max(had, h.Demand[j-1]), 0)
		arrived += max(h.Demand[j]-h.Demand[j-1], 0)
	}
	judged := float64(count - first)
	s := Score{HitRate: 1, Cost: (t.IdleCost*idle + t.WaitCost*waits) / judged, Idle: idle / judged}
	if arrived > 0 {
		s.HitRate = 1 - waits/arrived
	}
	return s
}

// highest is, per index, the highest of its value and of the width values before it.
func highest(n, width int, value func(int) float64) []float64 {
	return extremes(n, width, value, func(a, b float64) bool { return a >= b })
}

// lowest is, per index, the lowest of its value and of the width values before it.
func lowest(values []float64, width int) []float64 {
	return extremes(len(values), width, func(i int) float64 { return values[i] }, func(a, b float64) bool { return a <= b })
}

// extremes slides a window over the values with a queue of candidates.
func extremes(n, width int, value func(int) float64, beats func(a, b float64) bool) []float64 {
	type candidate struct {
		at    int
		value float64
	}
	result := make([]float64, n)
	queue := make([]candidate, 0, n)
	head := 0
	for i := range n {
		v := value(i)
		for len(queue) > head && beats(v, queue[len(queue)-1].value) {
			queue = queue[:len(queue)-1]
		}
		queue = append(queue, candidate{i, v})
		if queue[head].at < i-width {
			head++
		}
		result[i] = queue[head].value
	}
	return result
}
