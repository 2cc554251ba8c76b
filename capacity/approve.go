package capacity

// approve holds what is wanted back to what has been approved, or stands already.
func approve(plans []ChunkPlan, state State, limits Limits) {
	if !limits.needsApproval(plans, state) {
		return
	}
	for i := range plans {
		most := max(limits.Approval.Levels[i]-state.Chunks[i].overdue(), state.Chunks[i].held())
		if more := plans[i].Wanted - most; more > 0 {
			plans[i].Wanted = most
			plans[i].Unapproved = more
			plans[i].limit(more, ReasonUnapproved)
		}
	}
}

// needsApproval tells whether the growth, from what holds capacity already, is one that somebody
// must approve.
func (l Limits) needsApproval(plans []ChunkPlan, state State) bool {
	a := l.Approval
	if a == nil || a.AboveCostPerHour == nil && a.AboveNodes == nil {
		return a != nil
	}
	cost, nodes := 0.0, int64(0)
	for i, chunk := range l.Chunks {
		reserved := int64(0)
		for _, p := range state.Chunks[i].Placeholders {
			if p.Stage == Reserved {
				reserved++
			}
		}
		cost += float64(max(plans[i].Wanted-reserved, 0)) * chunk.IdleCostPerHour
		nodes += boundByNodes(new(plans[i]), state.Chunks[i], nil, "")
	}
	return a.AboveCostPerHour != nil && cost > *a.AboveCostPerHour+1e-9 || a.AboveNodes != nil && nodes > *a.AboveNodes
}
