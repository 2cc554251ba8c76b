package reserver

import (
	"cmp"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/internal/demand"
)

// ceilings are the max-nodes of a pool, of the NodePools that it selects, and of the cluster, as far as no
// override lets the pool past them, and what the pool itself says. Nodes for which real pods wait are taken off, as are, off the cluster's,
// those for which other pools do. Nodes that leave do not count.
func (r *Reserver) ceilings(w world, pool *v1alpha1.WarmPool, nodes []*corev1.Node, now time.Time) []capacity.Ceiling {
	m := r.memoryOf(pool, now)
	all := []capacity.Ceiling{
		{
			On: onObject("WarmPool " + pool.Name), Value: pool.Annotations[v1alpha1.AnnotationMaxNodes],
			Mode: pool.Annotations[v1alpha1.AnnotationCeilingMode], Standing: staying(nodes),
		},
		karpenter.Ceiling(w.nodePoolsOf(pool), w.standingOf),
		{On: onObject("Namespace kube-system"), Value: w.maxNodes, Mode: w.ceilingMode, Standing: staying(w.Nodes), Asked: w.askedByOthers(pool)},
	}
	override := capacity.Override(pool.Annotations[v1alpha1.AnnotationCeilingOverride], now)
	for i := range all {
		all[i].Asked += w.awaited(pool)
		all[i] = all[i].Read(m.maxNodes[i])
		m.maxNodes[i] = all[i].Limit
		if override != nil {
			all[i].Past = new(*override - staying(nodes) - w.awaited(pool))
		}
	}
	if most := pool.Spec.Sizing.MaxNodes; most != nil {
		all = append(all, capacity.Ceiling{On: "spec.sizing.maxNodes", Limit: new(int64(*most)), Standing: staying(nodes), Asked: w.awaited(pool)})
	}
	return all
}

func onObject(object string) string {
	return "annotation " + v1alpha1.AnnotationMaxNodes + " on " + object
}

// standingOf is how many nodes of one of Karpenter's NodePools stay.
func (w world) standingOf(nodePool string) int64 {
	return staying(slices.DeleteFunc(slices.Clone(w.Nodes), func(n *corev1.Node) bool { return n.Labels[karpenter.NodePoolLabel] != nodePool }))
}

// nodePoolsOf are Karpenter's NodePools whose nodes may be of a pool.
func (w world) nodePoolsOf(pool *v1alpha1.WarmPool) []karpenter.NodePool {
	own, err := demand.Compile(pool)
	if err != nil {
		return nil // its own status says so
	}
	return slices.DeleteFunc(slices.Clone(w.templates), func(t karpenter.NodePool) bool { return !t.MayMatch(own.Nodes) })
}

// askedByOthers is how many nodes the other pools wait for, and their pods.
func (w world) askedByOthers(pool *v1alpha1.WarmPool) int64 {
	var sum int64
	for name, asked := range w.asked {
		if name != pool.Name {
			sum += asked
		}
	}
	for _, other := range w.pools {
		if other.Name != pool.Name {
			sum += w.awaited(other)
		}
	}
	return sum
}

// awaited is how many nodes autoscalers buy for the real pods of a pool that wait: what a node takes is what the
// last plan found, one chunk where it found nothing.
func (w world) awaited(pool *v1alpha1.WarmPool) int64 {
	nodes := 0.0
	for i := range pool.Spec.Chunks {
		name, perNode := pool.Spec.Chunks[i].Name, 1.0
		for _, row := range pool.Status.Chunks {
			if row.Name == name {
				perNode = max(perNode, float64(row.PerNode))
			}
		}
		nodes += w.waiting[key{pool.Name, name}] / perNode
	}
	return int64(math.Ceil(nodes - 1e-9))
}

// pending counts the placeholders of each pool that wait for a node: one each at most, until a
// plan says it better.
func pending(placeholders map[string][]*corev1.Pod) map[string]int64 {
	out := map[string]int64{}
	for pool, pods := range placeholders {
		for _, pod := range pods {
			if placeholder.StageOf(pod) == capacity.Pending && pod.Spec.NodeName == "" {
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

func staying(nodes []*corev1.Node) int64 {
	n := int64(0)
	for _, node := range nodes {
		if !demand.Leaving(node) {
			n++
		}
	}
	return n
}

// tellCeilings says by a condition, an event when that begins, and a metric whether more nodes stand
// than are allowed, and by one event for each value that it cannot be read.
func (r *Reserver) tellCeilings(status *v1alpha1.WarmPoolStatus, pool *v1alpha1.WarmPool, seen sight) {
	set, over := setter(status, pool), int64(0)
	for _, c := range seen.ceilings {
		over = max(over, c.Over())
	}
	r.metrics.above.WithLabelValues(pool.Name).Set(float64(over))
	if over == 0 {
		set(v1alpha1.ConditionAboveCeiling, false, v1alpha1.ReasonWithinCeiling, "")
	} else {
		says := capacity.Exceeded(seen.ceilings)
		if left := capacity.NodesLeft(seen.ceilings); left != nil && *left == 0 {
			says += "; placeholders ask for no more"
		}
		set(v1alpha1.ConditionAboveCeiling, true, v1alpha1.ReasonStandsAboveCeiling, says)
		if !meta.IsStatusConditionTrue(pool.Status.Conditions, v1alpha1.ConditionAboveCeiling) {
			r.options.Events.Eventf(pool, nil, corev1.EventTypeWarning, v1alpha1.ReasonStandsAboveCeiling, "Observe", "%s", says)
		}
	}
	r.tellUnread(pool, seen.ceilings, seen.at)
}

func (r *Reserver) tellUnread(pool *v1alpha1.WarmPool, ceilings []capacity.Ceiling, now time.Time) {
	told := &r.memoryOf(pool, now).unread
	for i, c := range ceilings[:len(told)] {
		says := c.Unreadable()
		if says != "" && says != told[i] {
			r.options.Events.Eventf(pool, nil, corev1.EventTypeWarning, v1alpha1.ReasonCeilingUnreadable, "Observe", "%s", says)
		}
		told[i] = says
	}
}
