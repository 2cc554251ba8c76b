package capacity

// boundByNodes brings what is wanted of a chunk down to what its placeholders, the room on nodes
// that are there and the nodes that may still be asked for take, and returns how many of those
// are left for other chunks. A placeholder for which there is no room counts as a node, so that
// no node too many is asked for; the room that a node brings beyond it is used once it is there.
// Nothing that is held already is given up for it.
func boundByNodes(plan *ChunkPlan, state ChunkState, left int64) int64 {
	var held, pending int64
	for _, p := range state.Placeholders {
		switch p.Stage {
		case Pending:
			pending++
			held++
		case Reserved:
			held++
		case Gated, Finished:
		}
	}
	left = max(left-max(pending-state.Room, 0), 0)
	room := max(state.Room-pending, 0)
	more := max(plan.Wanted-held, 0)
	if more > room+left {
		plan.Limited += more - room - left
		plan.Wanted = held + room + left
		plan.Reason = ReasonMaxNodes
		more = room + left
	}
	return left - max(more-room, 0)
}
