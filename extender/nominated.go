package extender

// nominated passes the node that the scheduler has named for the pod: most often because it has made room
// there, about which we were asked before, so that to refuse now would have somebody die for nothing; since
// 1.35 also because it had chosen the node, and has not bound the pod yet, or because somebody else named
// it, who may write the pod's status.
func nominated(pod *Pod, node *Node, _ []Held) (opinion, Verdict) {
	if pod.Nominated != "" && pod.Nominated == node.Name {
		return pass, Verdict{}
	}
	return none, Verdict{}
}
