package capacity

import "slices"

// shed brings what is wanted of all chunks under the idle budget, the least valuable first, and
// never below a chunk's min. What goes at once is a node's worth, where that is known: a part of a
// node costs as much as all of it.
func shed(plans []ChunkPlan, demand Demand, state State, limits Limits) {
	budget, reason, ok := limits.idleBudget()
	if !ok {
		return
	}
	peaks := make([][]float64, len(plans))
	cost := 0.0
	for i, chunk := range limits.Chunks {
		peaks[i] = Peaks(demand.Chunks[i], limits.Window())
		cost += float64(plans[i].Wanted) * chunk.IdleCostPerHour
	}
	for cost > budget+1e-9 {
		least, worth := -1, 0.0
		for i, chunk := range limits.Chunks {
			if plans[i].Wanted <= chunk.Min || chunk.IdleCostPerHour <= 0 {
				continue
			}
			v := value(plans[i], peaks[i], demand.Chunks[i].Now+float64(state.Chunks[i].Free), limits, chunk)
			if least < 0 || v < worth {
				least, worth = i, v
			}
		}
		if least < 0 {
			return // all that is left is the minimum
		}
		n := unit(plans[least], limits.Chunks[least])
		plans[least].Wanted -= n
		plans[least].Spread = max(plans[least].Spread-n, 0)
		plans[least].limit(n, reason)
		cost -= float64(n) * limits.Chunks[least].IdleCostPerHour
	}
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
func unit(plan ChunkPlan, chunk Chunk) int64 {
	return min(max(chunk.PerNode, 1), plan.Wanted-chunk.Min)
}

// value is how much waiting the last unit wanted of a chunk is expected to save, per idle cost. A
// chunk without a forecast is taken for one that is certainly used.
func value(plan ChunkPlan, peaks []float64, stands float64, limits Limits, chunk Chunk) float64 {
	used := 1.0
	if len(peaks) > 0 {
		n := unit(plan, chunk)
		used = 0
		for k := range n {
			above := len(peaks) - countUpTo(peaks, stands+float64(plan.Wanted-n+k))
			used += float64(above) / float64(len(peaks)) / float64(n)
		}
	}
	return used * chunk.WaitCostPerHour * limits.LeadTime.Hours() / chunk.IdleCostPerHour
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
