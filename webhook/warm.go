package webhook

import (
	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// WarmChunk is a shape of a pool's placeholders of which at least one holds capacity on a node.
type WarmChunk struct {
	Requests quantity.Vector
	// CostPerHour is what the chunk costs while it is idle.
	CostPerHour float64
}

// takes says whether a pod that asks for this much fits in what the chunk holds.
func (c WarmChunk) takes(asked quantity.Vector) bool {
	for name, room := range c.Requests {
		if asked[name] > room {
			return false
		}
	}
	return true
}

// ready is what the cheapest warm chunk that takes the pod costs; false where there is none.
func (p Pool) ready(asked quantity.Vector) (costPerHour float64, is bool) {
	for _, chunk := range p.Warm {
		if chunk.takes(asked) && (!is || chunk.CostPerHour < costPerHour) {
			costPerHour, is = chunk.CostPerHour, true
		}
	}
	return costPerHour, is
}

// warm has a pod prefer its pool's nodes where capacity stands ready for it there and none that
// is cheaper does in another pool that takes it. Karpenter first buys as if preferences were
// requirements, hence none on mere hope; and a pod that says itself where to go is left to that.
func warm(r Request, d *draft) bool {
	if d.pool == nil || len(d.pool.Nodes) == 0 || placed(&r.Pod.Spec) {
		return false
	}
	own, is := d.pool.ready(d.asked)
	if !is {
		return false
	}
	for _, other := range r.Pools {
		if cost, is := other.ready(d.asked); is && cost < own && other.accepts(r, d.asked) {
			return false
		}
	}
	d.preference = &corev1.PreferredSchedulingTerm{Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: d.pool.Nodes}}
	return false
}

// placed says whether a pod says itself where to go, as DaemonSets' pods do too.
func placed(spec *corev1.PodSpec) bool {
	return spec.NodeName != "" || len(spec.NodeSelector) > 0 || spec.Affinity != nil && spec.Affinity.NodeAffinity != nil
}
