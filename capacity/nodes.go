package capacity

// boundByNodes brings what is wanted of a chunk down to what its placeholders, the room on nodes
// that are there and the nodes that may still be asked for take, and returns how many nodes it
// asks for. A placeholder for which there is no room counts as a node, so that no node too many
// is asked for; the room that a node brings beyond it is used once it is there. Nothing that is
// held already is given up for it. What is pinned to a zone needs room there, else it gives its pin up
// first. Where left is nil, any number may be asked for; by is the limit that it is part of.
func boundByNodes(plan *ChunkPlan, state ChunkState, left *int64, by Reason) int64 {
	var held, pending int64
	for _, p := range state.Placeholders {
		switch p.Stage {
		case Pending:
			pending++
			held++
		case Reserved:
			held++
		case Gated, Finished, Lost, Overdue:
		}
	}
	if plan.Diverted > 0 { // those beyond what is wanted are withdrawn
		pending = min(pending, max(plan.Wanted-(held-pending), 0))
		held = state.reserved() + pending
	}
	coming := max(pending-state.Room, 0) + state.overdue()
	room := max(state.Room-pending, 0)
	if left != nil {
		plan.unpin(plan.allApart(state)-max(*left-coming, 0), state, by)
	}
	more := max(plan.Wanted-held, 0)
	apart := min(plan.allApart(state), more)
	if left != nil {
		if most := room + max(*left-coming, 0); more > most {
			plan.Wanted = held + most
			plan.limit(more-most, by)
			more = most
		}
	}
	return coming + apart + max(more-apart-room, 0)
}
