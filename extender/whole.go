package extender

import corev1 "k8s.io/api/core/v1"

// keepWhole prefers nodes that somebody works on, or that the pod takes whole. Placeholders do
// no work: a node that only they keep can be given back.
func keepWhole(_ *task, a, b option) int {
	switch {
	case a.breaks == b.breaks:
		return 0
	case b.breaks:
		return -1
	default:
		return 1
	}
}

// whole tells whether nobody works, or is about to, on what a node has of a resource.
func whole(node *Node, name corev1.ResourceName) bool {
	return node.Real[name] <= 0 && node.Tentative[name] <= 0
}
