package reserver

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/demand"
)

// nodesLeft is how many more nodes a pool may ask for, nil for any number: up to the ceiling of
// the pool, and up to that of the cluster. Nodes that leave do not count. Where a ceiling cannot
// be read, the last one that could stays in force.
func (r *Reserver) nodesLeft(w world, pool *v1alpha1.WarmPool, nodes []*corev1.Node, now time.Time) *int64 {
	m := r.memoryOf(pool, now)
	var left *int64
	for i, ceiling := range []struct {
		value string
		nodes []*corev1.Node
	}{{pool.Annotations[v1alpha1.AnnotationMaxNodes], nodes}, {w.maxNodes, w.Nodes}} {
		m.maxNodes[i] = readCeiling(ceiling.value, m.maxNodes[i])
		if m.maxNodes[i] == nil {
			continue
		}
		if n := max(*m.maxNodes[i]-staying(ceiling.nodes), 0); left == nil || n < *left {
			left = &n
		}
	}
	return left
}

// readCeiling reads digits, as the admission webhook does; an empty value is no ceiling.
func readCeiling(value string, last *int64) *int64 {
	if value == "" {
		return nil
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return last
	}
	return new(int64(n))
}

func staying(nodes []*corev1.Node) int64 {
	n := int64(0)
	for _, node := range nodes {
		if !demand.Leaving(node) {
			n++
		}
	}
	return n
}
