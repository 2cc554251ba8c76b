package extender

// cleared keeps placeholders off the room that other placeholders have given up for a pod which the
// scheduler has not placed yet. It nominates no node for such a pod, so that nothing else would.
func cleared(pod *Pod, node *Node, _ []Held) (opinion, Verdict) {
	if !pod.Placeholder || len(node.Cleared) == 0 {
		return none, Verdict{}
	}
	for name, amount := range pod.Requests {
		if amount > 0 && amount > node.Allocatable[name]-node.Real[name]-node.Placeholders[name]-node.Cleared[name] {
			return refuse, Verdict{ReasonClearedForOthers, "node(s) with room that was made for a pod which waits"}
		}
	}
	return none, Verdict{}
}
