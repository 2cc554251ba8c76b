package extender

import corev1 "k8s.io/api/core/v1"

// keepWhole prefers nodes that somebody works on, or that the pod takes whole. Placeholders do
// no work: a node that only they keep can be given back.
func keepWhole(t *task, a, b *Node) int {
	switch x, y := t.breaks(a), t.breaks(b); {
	case x == y:
		return 0
	case y:
		return -1
	default:
		return 1
	}
}

// breaks tells whether a whole node would be one no more.
func (t *task) breaks(node *Node) bool {
	return whole(node, t.scarce) && t.asks < node.Allocatable[t.scarce]
}

// whole tells whether nobody works, or is about to, on what a node has of a resource.
func whole(node *Node, name corev1.ResourceName) bool {
	return node.Real[name] <= 0 && node.Tentative[name] <= 0
}
