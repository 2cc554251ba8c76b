package webhook

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/internal/quantity"
)

// Pool is what a pod needs to know of a WarmPool.
type Pool struct {
	Name     string
	Priority int32
	// Resource is the resource whose request makes a pod part of the demand.
	Resource corev1.ResourceName
	// NamespaceSelector and PodSelector say whose pods; nil matches nothing.
	NamespaceSelector labels.Selector
	PodSelector       labels.Selector
	// Tolerations let a pod onto the pool's nodes.
	Tolerations []corev1.Toleration
	// Nodes select the pool's nodes by their labels.
	Nodes []corev1.NodeSelectorRequirement
	// Warm are the chunks that stand ready.
	Warm []WarmChunk
}

// accepts says whether the request's pod is part of the pool's demand.
func (p Pool) accepts(r Request, asked quantity.Vector) bool {
	return asked[p.Resource] > 0 &&
		p.NamespaceSelector != nil && p.NamespaceSelector.Matches(labels.Set(r.NamespaceLabels)) &&
		p.PodSelector != nil && p.PodSelector.Matches(labels.Set(r.Pod.Labels))
}

// pool annotates the pod's pool: the one that it names, where that one accepts it, else
// the one of the highest priority among those that do, else the first by name.
func pool(r Request, d *draft) bool {
	named := r.Pod.Annotations[PoolName]
	var best *Pool
	for i := range r.Pools {
		p := &r.Pools[i]
		if p.accepts(r, d.asked) && (best == nil || before(p, best, named)) {
			best = p
		}
	}
	if named != "" && (best == nil || best.Name != named) {
		d.warn(fmt.Sprintf("annotation %s: no WarmPool %q takes this pod%s; name a pool whose spec.demand matches the pod, or leave the annotation out", PoolName, named, instead(best)))
	}
	if best == nil {
		return false
	}
	d.pool = best
	d.annotate(r.Pod, PoolName, best.Name)
	for _, t := range best.Tolerations {
		d.tolerate(r.Pod, t)
	}
	return false
}

// before orders pools: the named one, then priority, then name.
func before(a, b *Pool, named string) bool {
	if (a.Name == named) != (b.Name == named) {
		return a.Name == named
	}
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return a.Name < b.Name
}

func instead(best *Pool) string {
	if best == nil {
		return ""
	}
	return fmt.Sprintf(", it was given to %q", best.Name)
}
