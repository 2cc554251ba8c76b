package capacity

import "slices"

// shed brings what is wanted of all chunks under the idle budget, the least valuable first, and never below a
// chunk's min. What goes at once is a node's worth, where that is known: a part of a node costs as much as all
// of it. What is held beyond it costs too: where all together is above the budget, it is given back though its
// hold time is not over, and until it is gone no more is ungated than it leaves.
func shed(plans []ChunkPlan, demand Demand, state State, limits Limits) {
	s := shedding{plans: plans, demand: demand, state: state, limits: limits, ended: over(demand, state, limits)}
	var ok bool
	if s.budget, s.reason, ok = limits.idleBudget(); !ok {
		return
	}
	for i := range limits.Chunks {
		s.peaks = append(s.peaks, Peaks(demand.Chunks[i], limits.Window()))
	}
	s.down(
		func(i int) int64 { return plans[i].Wanted },
		func(i int) int64 { return limits.Chunks[i].Min },
	)
	if s.cost(s.stays) <= s.budget+1e-9 {
		return
	}
	for i := range plans {
		plans[i].Unkept = state.Chunks[i].held() > plans[i].Wanted
	}
	s.down(s.stays, func(i int) int64 { return max(limits.Chunks[i].Min, state.Chunks[i].held()) })
}

// shedding is the plans that are to be brought under a budget, and what they were made of.
type shedding struct {
	plans  []ChunkPlan
	demand Demand
	state  State
	limits Limits
	peaks  [][]float64
	budget float64
	reason Reason
	// ended says that the pool's work has.
	ended bool
}

// down lowers what is wanted, to floor at least, until so many of each chunk cost no more than the budget.
func (s *shedding) down(count, floor func(chunk int) int64) {
	for s.cost(count) > s.budget+1e-9 {
		least := s.leastValuable(floor)
		if least < 0 {
			return // all that is left is the minimum
		}
		plan := &s.plans[least]
		n := unit(*plan, s.limits.Chunks[least], floor(least))
		plan.Wanted -= n
		plan.Spread = max(plan.Spread-n, 0)
		plan.limit(n, s.reason)
	}
}

// cost is what so many of each chunk cost per hour.
func (s *shedding) cost(count func(chunk int) int64) float64 {
	sum := 0.0
	for i, chunk := range s.limits.Chunks {
		sum += float64(count(i)) * chunk.IdleCostPerHour
	}
	return sum
}

// leastValuable is the chunk whose last unit is worth the least; below zero where nothing can go.
func (s *shedding) leastValuable(floor func(chunk int) int64) int {
	least, worth := -1, 0.0
	for i, chunk := range s.limits.Chunks {
		if s.plans[i].Wanted <= floor(i) || chunk.IdleCostPerHour <= 0 {
			continue
		}
		stands := s.demand.Chunks[i].Now + float64(s.state.Chunks[i].Free)
		v := value(s.plans[i].Wanted, unit(s.plans[i], chunk, floor(i)), s.peaks[i], stands) * chunk.WaitCostPerHour * s.limits.LeadTime.Hours() / chunk.IdleCostPerHour
		if least < 0 || v < worth {
			least, worth = i, v
		}
	}
	return least
}

// stays is how many of a chunk are ungated once its plan is carried out, wanted or not.
func (s *shedding) stays(chunk int) int64 {
	return s.plans[chunk].stays(s.limits.Chunks[chunk], s.state.Chunks[chunk], s.ended)
}

// stays is how many are ungated once the plan is carried out, wanted or not: what is given back goes step by step.
func (p ChunkPlan) stays(chunk Chunk, state ChunkState, ended bool) int64 {
	held := state.held()
	return max(p.Wanted, held-p.release(held, chunk, state, ended))
}

// idleBudget is what placeholders may cost per hour: what is left for the day must do for as long
// as capacity that is asked for now is kept.
func (l Limits) idleBudget() (budget float64, reason Reason, ok bool) {
	if l.IdleBudgetPerHour != nil {
		budget, reason, ok = *l.IdleBudgetPerHour, ReasonIdleBudget, true
	}
	if l.IdleBudgetLeft != nil {
		if daily := max(*l.IdleBudgetLeft, 0) / l.HoldTime().Hours(); !ok || daily < budget {
			budget, reason, ok = daily, ReasonIdleBudgetOfDay, true
		}
	}
	return budget, reason, ok
}

// unit is how many chunks are shed at once.
func unit(plan ChunkPlan, chunk Chunk, floor int64) int64 {
	return min(max(chunk.PerNode, 1), plan.Wanted-floor)
}

// value is the share of the last n wanted of a chunk that is expected to be used, beyond what stands. A chunk
// without a forecast is taken for one that is certainly used.
func value(wanted, n int64, peaks []float64, stands float64) float64 {
	if len(peaks) == 0 {
		return 1
	}
	used := 0.0
	for k := range n {
		above := len(peaks) - countUpTo(peaks, stands+float64(wanted-n+k))
		used += float64(above) / float64(len(peaks)) / float64(n)
	}
	return used
}

// countUpTo is how many of the sorted values do not exceed a level.
func countUpTo(sorted []float64, level float64) int {
	n, _ := slices.BinarySearchFunc(sorted, level+1e-9, func(value, level float64) int {
		if value <= level {
			return -1
		}
		return 1
	})
	return n
}

// limit notes that a limit takes so many of what would be wanted.
func (p *ChunkPlan) limit(n int64, reason Reason) {
	if n <= 0 {
		return
	}
	p.Limited += n
	p.Reason = reason
	if !slices.Contains(p.LimitedBy, reason) {
		p.LimitedBy = append(p.LimitedBy, reason)
	}
}
