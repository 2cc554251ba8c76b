package room

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
)

// Fitting tells which pods fit no node of a pool, whatever ends there. What is not known is no reason: a pod counts
// until the nodes that stand show that it cannot. It is not for concurrent use; nil knows of none.
type Fitting struct {
	pool *v1alpha1.WarmPool
	// templates are Karpenter's NodePools that make its nodes.
	templates []karpenter.NodePool
	// shown are the nodes that show what one of the pool is like: those that offer its resource by now, of which
	// one has most.
	shown []shown
	most  int64
	// found are the answers so far, by what pods ask for and where they may run.
	found map[string]bool
}

// shown is what a node shows: no more of it is kept, since a Fitting may outlive the snapshot by long.
type shown struct {
	name   string
	labels map[string]string
	taints []corev1.Taint
	empty  quantity.Vector
}

// NewFitting looks at the nodes of a pool.
func NewFitting(s snapshot.Snapshot, pool *v1alpha1.WarmPool, class demand.Class, templates []karpenter.NodePool) *Fitting {
	f := &Fitting{pool: pool, templates: templates, found: map[string]bool{}}
	for _, node := range s.Nodes {
		if !class.Nodes.Matches(labels.Set(node.Labels)) {
			continue
		}
		if empty := Empty(s, node); empty[class.Resource] > 0 {
			f.shown = append(f.shown, shown{node.Name, node.Labels, node.Spec.Taints, empty})
			f.most = max(f.most, empty[class.Resource])
		}
	}
	return f
}

// Never tells whether a pod fits no node of the pool.
func (f *Fitting) Never(pod *corev1.Pod) bool {
	if f == nil || len(f.shown) == 0 && len(f.templates) == 0 {
		return false
	}
	where := f.required(pod)
	alike, err := json.Marshal([]any{quantity.OfPod(pod), where.Spec.NodeSelector, where.Spec.Affinity, pod.Spec.Tolerations})
	if err != nil {
		return false
	}
	never, known := f.found[string(alike)]
	if !known {
		never = f.never(pod, nodeaffinity.GetRequiredNodeAffinity(where))
		f.found[string(alike)] = never
	}
	return never
}

// never tells it of a pod that may run where its affinity says. A pod that asks for more of the pool's resource
// than any node that stands has, but not for more than a chunk, may get a node of another size; so may one
// that a NodePool without nodes makes its nodes for.
func (f *Fitting) never(pod *corev1.Pod, where nodeaffinity.RequiredNodeAffinity) bool {
	asked := quantity.OfPod(pod)
	if of := asked[f.pool.Spec.Demand.Resource]; len(f.shown) > 0 && of > f.most && of <= f.largest() {
		return false
	}
	for _, node := range f.shown {
		if asked.FitsIn(node.empty) && !f.keepOff(node.taints, pod) && matches(where, node.name, node.labels) {
			return false
		}
	}
	return !slices.ContainsFunc(f.templates, func(t karpenter.NodePool) bool {
		stands := func(node shown) bool {
			return node.labels[karpenter.NodePoolLabel] == t.Labels[karpenter.NodePoolLabel]
		}
		return !slices.ContainsFunc(f.shown, stands) && f.mayMake(t, pod)
	})
}

// largest is the most that a chunk has of the pool's resource.
func (f *Fitting) largest() int64 {
	most := int64(0)
	for i := range f.pool.Spec.Chunks {
		most = max(most, quantity.Of(f.pool.Spec.Chunks[i].Requests)[f.pool.Spec.Demand.Resource])
	}
	return most
}

// mayMake tells whether a NodePool may make a node where a pod may run. A label of which it chooses a value is given
// the benefit of the doubt.
func (f *Fitting) mayMake(t karpenter.NodePool, pod *corev1.Pod) bool {
	chosen := func(key string) bool { _, is := t.Choices[key]; return is || f.differs(key) }
	where := nodeaffinity.GetRequiredNodeAffinity(without(pod, chosen))
	return matches(where, "", t.Labels)
}

func matches(where nodeaffinity.RequiredNodeAffinity, name string, labels map[string]string) bool {
	matches, err := where.Match(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	return matches || err != nil
}

// keepOff tells whether one of the taints of a node keeps a pod off, and all nodes of the pool are expected to
// have it, since the pool names it among its tolerations. Others come and go.
func (f *Fitting) keepOff(taints []corev1.Taint, pod *corev1.Pod) bool {
	return slices.ContainsFunc(taints, func(taint corev1.Taint) bool {
		if taint.Effect == corev1.TaintEffectPreferNoSchedule || startup(&taint) || strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
			return false
		}
		named := func(t corev1.Toleration) bool { return t.Key == taint.Key }
		only := corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{taint}}}
		return slices.ContainsFunc(f.pool.Spec.Nodes.Tolerations, named) && takes(&only, placeholder.Tolerations(f.pool)) && !takes(&only, pod.Spec.Tolerations)
	})
}

// required is a pod with what it requires of labels that all nodes of the pool have alike.
func (f *Fitting) required(pod *corev1.Pod) *corev1.Pod { return without(pod, f.differs) }

// differing are labels, by how their keys begin, of which the next node may have another value than those that stand.
var differing = []string{
	"topology.kubernetes.io/", "failure-domain.beta.kubernetes.io/", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/",
	"node.kubernetes.io/instance-type", "karpenter.sh/capacity-type", "karpenter.k8s.", "eks.amazonaws.com/", "alpha.eksctl.io/",
	"cloud.google.com/", "kubernetes.azure.com/", "agentpool", "cluster.x-k8s.io/", "node.cluster.x-k8s.io/",
}

// differs tells of a label whether the pool's nodes may differ in it.
func (f *Fitting) differs(key string) bool {
	if _, same := f.pool.Spec.Nodes.Selector.MatchLabels[key]; same {
		return false
	}
	if zones := f.pool.Spec.Nodes.Zones; zones != nil && zones.Key == key {
		return true
	}
	return slices.ContainsFunc(differing, func(begin string) bool { return strings.HasPrefix(key, begin) })
}

// without is a pod with nothing of its own but where it requires to run, less what it requires of some labels.
func without(pod *corev1.Pod, label func(key string) bool) *corev1.Pod {
	left := &corev1.Pod{}
	left.Spec.NodeSelector = maps.Clone(pod.Spec.NodeSelector)
	maps.DeleteFunc(left.Spec.NodeSelector, func(key, _ string) bool { return label(key) })
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return left
	}
	required := corev1.NodeSelector{}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		expressions := slices.DeleteFunc(slices.Clone(term.MatchExpressions), func(e corev1.NodeSelectorRequirement) bool { return label(e.Key) })
		if len(expressions)+len(term.MatchFields) == 0 && len(term.MatchExpressions) > 0 {
			return left // any node will do, as far as is known
		}
		required.NodeSelectorTerms = append(required.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchExpressions: expressions, MatchFields: term.MatchFields})
	}
	left.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &required}}
	return left
}
