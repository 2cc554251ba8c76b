package extender

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
)

// keepNear prefers the domain with the fewest whole nodes, so that domains with many stay
// together for jobs of many nodes. Nodes of no domain come after those of one.
func keepNear(t *task, a, b *Node) int {
	switch {
	case a.Domain == b.Domain:
		return 0
	case a.Domain == "":
		return 1
	case b.Domain == "":
		return -1
	default:
		return cmp.Or(cmp.Compare(t.whole[a.Domain], t.whole[b.Domain]), cmp.Compare(a.Domain, b.Domain))
	}
}

// wholeNodes counts the nodes per domain that nobody works on; nil where no node has a domain.
func wholeNodes(nodes []*Node, name corev1.ResourceName) map[string]int {
	var counts map[string]int
	for _, node := range nodes {
		if node.Domain == "" || !whole(node, name) {
			continue
		}
		if counts == nil {
			counts = map[string]int{}
		}
		counts[node.Domain]++
	}
	return counts
}
