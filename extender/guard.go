package extender

import "slices"

// guard refuses nodes of a pool that expects its owners to pods which ask for the same without
// being of its demand class.
func guard(pod *Pod, node *Node, held []Held) (opinion, Verdict) {
	if !guarded(pod, node.Pool, held) {
		return none, Verdict{}
	}
	return refuse, Verdict{ReasonHeldForOthers, "node(s) kept warm for the demand class of WarmPool " + node.Pool + ", which this pod is not in"}
}

// guarded tells whether the capacity of a pool is kept warm for others than the pod: the
// pool expects its owners, and the pod asks for what they ask for without being one.
func guarded(pod *Pod, pool string, held []Held) bool {
	if pod.Exempt || pool == "" || slices.Contains(pod.Classes, pool) {
		return false
	}
	for i := range held {
		if held[i].Pool == pool && pod.Requests[held[i].Resource] > 0 {
			return true
		}
	}
	return false
}
