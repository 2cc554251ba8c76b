package extender

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// MaxScore is the best score.
const MaxScore = 10

// Score rates each node from 0 to MaxScore, in the order given. The node that the pod
// would fill most of with real work is best, so that whole GPU nodes stay whole and nodes
// that only placeholders keep can be given back; a node that is leaving scores zero.
func Score(pod Pod, nodes []Node, _ []Held) []int64 {
	scarce := scarceResource(pod.Requests)
	scores := make([]int64, len(nodes))
	for i, node := range nodes {
		offered := node.Allocatable[scarce]
		if scarce == "" || node.Leaving || offered <= 0 {
			continue
		}
		filled := min(node.Real[scarce]+pod.Requests[scarce], offered)
		scores[i] = (filled*MaxScore + offered/2) / offered
	}
	return scores
}

// scarceResource is the extended resource that the pod asks for, the first by name.
func scarceResource(requests quantity.Vector) corev1.ResourceName {
	for _, name := range requests.Names() {
		if requests[name] > 0 && strings.Contains(string(name), "/") {
			return name
		}
	}
	return ""
}
