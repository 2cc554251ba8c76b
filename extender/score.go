package extender

import (
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// MaxScore is the best score.
const MaxScore = 10

// Score rates each node from 0 to MaxScore, in the order given. The node that the pod
// would fill most is best, so that whole GPU nodes stay whole. Placeholders fill half as
// much as real work, since a node that only they keep can be given back. A node that is
// leaving scores zero, any other that has what the pod asks for at least one.
func Score(pod Pod, nodes []Node, held []Held) []int64 {
	scarce := scarceResource(pod, held)
	scores := make([]int64, len(nodes))
	for i, node := range nodes {
		offered := float64(node.Allocatable[scarce])
		if scarce == "" || node.Leaving || offered <= 0 {
			continue
		}
		filled := float64(node.Real[scarce]) + float64(pod.Requests[scarce]) + float64(node.Placeholders[scarce])/2
		share := min(max(filled/offered, 0), 1)
		scores[i] = 1 + int64(math.Round(share*(MaxScore-1)))
	}
	return scores
}

// scarceResource is what decides where the pod goes: what its demand class asks for, else
// the first extended resource by name that the pod asks for.
func scarceResource(pod Pod, held []Held) corev1.ResourceName {
	for _, h := range held {
		if slices.Contains(pod.Classes, h.Pool) && pod.Requests[h.Resource] > 0 {
			return h.Resource
		}
	}
	return firstExtended(pod.Requests)
}

func firstExtended(requests quantity.Vector) corev1.ResourceName {
	for _, name := range requests.Names() {
		if requests[name] > 0 && strings.Contains(string(name), "/") {
			return name
		}
	}
	return ""
}
