package reserver

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/demand"
)

// nodesLeft is how many more nodes a pool may ask for, nil for any number: up to the ceiling of
// the pool, and up to that of the cluster, of which other pools have their part. Nodes that leave
// do not count. Where a ceiling cannot be read, the last one that could stays in force.
func (r *Reserver) nodesLeft(w world, pool *v1alpha1.WarmPool, nodes []*corev1.Node, now time.Time) *int64 {
	m := r.memoryOf(pool, now)
	var left *int64
	if most := pool.Spec.Sizing.MaxNodes; most != nil {
		left = new(max(int64(*most)-staying(nodes), 0))
	}
	for i, ceiling := range []struct {
		value string
		used  int64
	}{
		{pool.Annotations[v1alpha1.AnnotationMaxNodes], staying(nodes)},
		{w.maxNodes, staying(w.Nodes) + w.askedByOthers(pool)},
	} {
		m.maxNodes[i] = readCeiling(ceiling.value, m.maxNodes[i])
		if m.maxNodes[i] == nil {
			continue
		}
		if n := max(*m.maxNodes[i]-ceiling.used, 0); left == nil || n < *left {
			left = &n
		}
	}
	return left
}

// askedByOthers is how many nodes the other pools wait for.
func (w world) askedByOthers(pool *v1alpha1.WarmPool) int64 {
	var sum int64
	for name, asked := range w.asked {
		if name != pool.Name {
			sum += asked
		}
	}
	return sum
}

// pending counts the placeholders of each pool that wait for a node: one each at most, until a
// plan says it better.
func pending(placeholders map[string][]*corev1.Pod) map[string]int64 {
	out := map[string]int64{}
	for pool, pods := range placeholders {
		for _, pod := range pods {
			if stageOf(pod) == capacity.Pending && pod.Spec.NodeName == "" {
				out[pool]++
			}
		}
	}
	return out
}

// inTurn orders pools by priority, and then by name: where not all of them can have nodes, the
// first ones do.
func inTurn(pools []*v1alpha1.WarmPool) []*v1alpha1.WarmPool {
	return slices.SortedFunc(slices.Values(pools), func(a, b *v1alpha1.WarmPool) int {
		return cmp.Or(cmp.Compare(b.Spec.Priority, a.Spec.Priority), cmp.Compare(a.Name, b.Name))
	})
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
