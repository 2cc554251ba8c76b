package extender

import (
	"fmt"
	"slices"
)

// Filter answers for each node, in the order given.
func Filter(pod Pod, nodes []Node, held []Held) []Verdict {
	verdicts := make([]Verdict, len(nodes))
	for i, node := range nodes {
		verdicts[i] = Verdict{Node: node.Name}
		if guarded(pod, node.Pool, held) {
			verdicts[i].Reason = ReasonHeldForOthers
			verdicts[i].Message = fmt.Sprintf("node(s) kept warm for the demand class of WarmPool %s, which this pod is not in", node.Pool)
		}
	}
	return verdicts
}

// guarded tells whether the capacity of a pool is kept warm for others than the pod: the
// pool expects its owners, and the pod asks for what they ask for without being one.
func guarded(pod Pod, pool string, held []Held) bool {
	if pod.Exempt || pool == "" || slices.Contains(pod.Classes, pool) {
		return false
	}
	return slices.ContainsFunc(held, func(h Held) bool { return h.Pool == pool && pod.Requests[h.Resource] > 0 })
}
