package extender

// exempt passes every node for pods of DaemonSets and of the system: taints keep those off a
// node, never we.
func exempt(pod *Pod, _ *Node, _ []Held) (opinion, Verdict) {
	if pod.Exempt {
		return pass, Verdict{}
	}
	return none, Verdict{}
}
