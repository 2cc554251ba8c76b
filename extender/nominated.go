package extender

// nominated passes the node on which the scheduler has made room for the pod. Preemption was
// asked about before: to refuse now would have somebody die for nothing.
func nominated(pod *Pod, node *Node, _ []Held) (opinion, Verdict) {
	if pod.Nominated != "" && pod.Nominated == node.Name {
		return pass, Verdict{}
	}
	return none, Verdict{}
}
