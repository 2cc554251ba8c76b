package extender

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
)

// keepNear prefers the domain with the fewest whole nodes, so that domains with many stay
// together for jobs of many nodes. Nodes of no domain come after those of one.
func keepNear(t *task, a, b option) int {
	switch a, b := a.node.Domain, b.node.Domain; {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	default:
		return cmp.Or(cmp.Compare(t.whole[a], t.whole[b]), cmp.Compare(a, b))
	}
}

// wholeNodes counts the nodes per domain that nobody works on; nil where no node has a domain.
func wholeNodes(nodes []*Node, name corev1.ResourceName) map[string]int {
	var counts map[string]int
	for _, node := range nodes {
		if node.Domain == "" || !node.of(name).whole() {
			continue
		}
		if counts == nil {
			counts = map[string]int{}
		}
		counts[node.Domain]++
	}
	return counts
}
