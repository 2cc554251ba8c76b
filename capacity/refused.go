package capacity

// hold asks for no node beyond those asked for of a shape for which autoscalers bring none: what stands, what waits
// and what has room stays wanted, and the first node that comes lifts it. It is for the time until the breaker opens,
// and for pools that have no other to turn to.
func hold(plans []ChunkPlan, state State, limits Limits) {
	if limits.Supply != Closed {
		return
	}
	for i := range plans {
		if state.Chunks[i].Refused {
			boundByNodes(&plans[i], state.Chunks[i], new(int64(0)), ReasonRefused)
		}
	}
}
