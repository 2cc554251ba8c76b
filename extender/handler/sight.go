package handler

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/extender"
	"forewarm.dev/internal/suits"
)

// see begins or goes on to serve pods before the scheduler is heard of one of them, if it is one that
// calls us and will preempt for them. Pods that others keep away, and those whose policy is not to
// preempt, whom the reserver serves, are left alone.
func (x *Index) see(pod *corev1.Pod, b *burst) *burst {
	never := pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == corev1.PreemptNever
	if never || !x.ahead.callers[pod.Spec.SchedulerName] || x.repelled(pod) {
		return nil
	}
	if b == nil {
		asked := x.pod(pod)
		if asked.Placeholder || !slices.ContainsFunc(asked.Classes, x.holding) {
			return nil
		}
		if b = x.newBurst(pod, asked); b == nil {
			return nil
		}
		b.sight = true
	}
	b.until = x.now().Add(burstFor)
	return b
}

// survey looks at all nodes for a pod of a burst that we see ourselves: kept are those with placeholders
// for it, of which the scheduler has named some if it was heard; open is what firstOpen says. Where no
// placeholders are that matters to nobody.
func (x *Index) survey(b *burst, asked *extender.Pod) (kept []string, open string) {
	for name, e := range x.nodes {
		if x.kept(asked, e) && (b.named == nil || b.named[name]) && b.takes(e) {
			kept = append(kept, name)
		}
	}
	if len(kept) > 0 {
		open = x.firstOpen(b, asked)
	}
	return kept, open
}

// firstOpen is the first by name of the nodes without placeholders for a pod where it has room, or will;
// empty if there is none.
func (x *Index) firstOpen(b *burst, asked *extender.Pod) string {
	first := ""
	for name, e := range x.nodes {
		if !x.kept(asked, e) && (first == "" || name < first) && extender.Open(asked, &e.Node, x.held) && b.takes(e) {
			first = name
		}
	}
	return first
}

// takes tells whether a node stays, and pods of the burst may go there.
func (b *burst) takes(e *nodeEntry) bool {
	return e.object != nil && !e.Leaving && b.suits(e.object) == suits.Misfit{}
}

// repelling are the labels of pods that a pod on a node keeps away from itself; nil for most.
func repelling(pod *corev1.Pod) []labels.Selector {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return nil
	}
	var of []labels.Selector
	for _, term := range pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		if selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector); err == nil {
			of = append(of, selector)
		}
	}
	return of
}

// repelled tells whether some pod keeps a pod away, wherever that is and of whatever Namespace they are.
func (x *Index) repelled(pod *corev1.Pod) bool {
	for _, selectors := range x.ahead.repelling {
		if repels(selectors, pod) {
			return true
		}
	}
	return false
}

func repels(selectors []labels.Selector, pod *corev1.Pod) bool {
	return slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(pod.Labels)) })
}
