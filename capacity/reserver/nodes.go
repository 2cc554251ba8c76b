package reserver

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/internal/demand"
)

// nodeCeiling is a max-nodes that binds a pool.
type nodeCeiling struct {
	// on is the object that carries it, for messages, and value what it says.
	on, value string
	// limit is the number in force: where value cannot be read, the last that could, nil for none.
	limit *int64
	// unread is true where value cannot be read.
	unread bool
	// standing are the nodes that there are, and asked those that others wait for.
	standing, asked int64
}

// ceilings are the max-nodes of a pool, of the one NodePool that it selects, and of the cluster.
// The cluster's is shared with what other pools wait for. Nodes that leave do not count.
func (r *Reserver) ceilings(w world, pool *v1alpha1.WarmPool, nodes []*corev1.Node, now time.Time) []nodeCeiling {
	m := r.memoryOf(pool, now)
	all := []nodeCeiling{
		{on: "WarmPool " + pool.Name, value: pool.Annotations[v1alpha1.AnnotationMaxNodes], standing: staying(nodes)},
		w.ofNodePool(pool),
		{on: "Namespace kube-system", value: w.maxNodes, standing: staying(w.Nodes), asked: w.askedByOthers(pool)},
	}
	for i := range all {
		all[i].limit, all[i].unread = readCeiling(all[i].value, m.maxNodes[i])
		m.maxNodes[i] = all[i].limit
	}
	return all
}

// nodesLeft is how many more nodes may be asked for, nil for any number: up to the ceilings, and to
// what the pool itself says.
func nodesLeft(pool *v1alpha1.WarmPool, nodes []*corev1.Node, ceilings []nodeCeiling) *int64 {
	var left *int64
	if most := pool.Spec.Sizing.MaxNodes; most != nil {
		left = new(max(int64(*most)-staying(nodes), 0))
	}
	for _, c := range ceilings {
		if c.limit == nil {
			continue
		}
		if n := max(*c.limit-c.standing-c.asked, 0); left == nil || n < *left {
			left = &n
		}
	}
	return left
}

// ofNodePool is the ceiling of Karpenter's NodePool of a pool, where it selects just one.
func (w world) ofNodePool(pool *v1alpha1.WarmPool) nodeCeiling {
	own, err := demand.Compile(pool)
	if err != nil {
		return nodeCeiling{}
	}
	matching := slices.DeleteFunc(slices.Clone(w.templates), func(t nodeTemplate) bool { return !t.mayMatch(own.Nodes) })
	if len(matching) != 1 {
		return nodeCeiling{}
	}
	one := matching[0]
	of := slices.DeleteFunc(slices.Clone(w.Nodes), func(n *corev1.Node) bool { return n.Labels[nodePoolLabel] != one.labels[nodePoolLabel] })
	return nodeCeiling{on: "NodePool " + one.labels[nodePoolLabel], value: one.maxNodes, standing: staying(of)}
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

// readCeiling reads digits, as the admission webhook does; an empty value is no ceiling.
func readCeiling(value string, last *int64) (limit *int64, unread bool) {
	if value == "" {
		return nil, false
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return last, true
	}
	return new(int64(n)), false
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

// lastCeilings are those that a status says were in force.
func lastCeilings(status *v1alpha1.WarmPoolStatus) [3]*int64 {
	if c := status.MaxNodes; c != nil {
		return [3]*int64{c.Pool, c.NodePool, c.Cluster}
	}
	return [3]*int64{}
}

// maxNodesStatus says which ceilings are in force, nil where none is.
func maxNodesStatus(ceilings []nodeCeiling) *v1alpha1.MaxNodesStatus {
	out := v1alpha1.MaxNodesStatus{Pool: ceilings[0].limit, NodePool: ceilings[1].limit, Cluster: ceilings[2].limit}
	if out == (v1alpha1.MaxNodesStatus{}) {
		return nil
	}
	return &out
}

// exceeded says which ceilings more nodes stand above than they allow, empty for none.
func exceeded(ceilings []nodeCeiling) string {
	var ways []string
	for _, c := range ceilings {
		if c.limit != nil && c.standing > *c.limit {
			ways = append(ways, fmt.Sprintf("%d nodes stand, at most %d allowed by annotation %s on %s", c.standing, *c.limit, v1alpha1.AnnotationMaxNodes, c.on))
		}
	}
	return strings.Join(ways, "; ")
}

// tellUnread sends one event for each ceiling that cannot be read, once for each value.
func (r *Reserver) tellUnread(pool *v1alpha1.WarmPool, ceilings []nodeCeiling, now time.Time) {
	m := r.memoryOf(pool, now)
	for i, c := range ceilings {
		if !c.unread {
			m.unread[i] = ""
			continue
		}
		if m.unread[i] == c.value {
			continue
		}
		m.unread[i] = c.value
		effect := "it is ignored"
		if c.limit != nil {
			effect = fmt.Sprintf("the last good value, %d, stays in force", *c.limit)
		}
		r.options.Events.Eventf(pool, nil, corev1.EventTypeWarning, v1alpha1.ReasonCeilingUnreadable, "Observe",
			"%s: annotation %s=%q is no whole number from 0 to 2147483647; %s until it is corrected", c.on, v1alpha1.AnnotationMaxNodes, c.value, effect)
	}
}
