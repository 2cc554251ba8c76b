package handler

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
)

// Ended tells whether a pod has run to its end, and holds nothing any more.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func priorityOf(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// placeholderOf is the pool of a placeholder pod, empty for any other.
func (x *Index) placeholderOf(pod *corev1.Pod) string {
	if demand.IsPlaceholder(pod, x.placeholders) {
		return pod.Labels[v1alpha1.LabelPool]
	}
	return ""
}

// pod converts the pod to be placed. What its claims ask for counts: who may have a pool's devices
// by a plugin may have them by a claim. While a pool gets no nodes, its pods are of the classes of the
// pools that it turns to as well. A placeholder is of its own pool's class, whatever the
// selectors say, since it holds capacity for that class.
func (x *Index) pod(pod *corev1.Pod) *extender.Pod {
	converted := &extender.Pod{
		UID: pod.UID, Requests: x.devices.Requests(pod, quantity.OfPod(pod)), Exempt: x.exempt(pod),
		Nominated: pod.Status.NominatedNodeName, Priority: priorityOf(pod), Plain: extender.Plain(pod),
	}
	if pool := x.placeholderOf(pod); pool != "" {
		converted.Placeholder, converted.Classes = true, []string{pool}
		return converted
	}
	for i := range x.classes {
		if c := &x.classes[i]; x.isOf(c, pod, converted.Requests) {
			converted.Classes = append(converted.Classes, c.Pool)
			converted.Classes = append(converted.Classes, x.turnedTo(c.Pool)...)
		}
	}
	return converted
}

// isOf tells whether a pod that asks for something is of a demand class.
func (x *Index) isOf(class *demand.Class, pod *corev1.Pod, requests quantity.Vector) bool {
	return requests[x.devices.CountedAs(class.Resource)] > 0 && class.Selects(pod, x.namespaces[pod.Namespace].labels)
}

// turnedTo are the pools that keep capacity for one which gets no nodes.
func (x *Index) turnedTo(pool string) []string {
	var pools []string
	if p := x.pools[pool]; p != nil && p.Status.Supply != nil {
		for _, d := range p.Status.Supply.Diverted {
			if !slices.Contains(pools, d.Pool) {
				pools = append(pools, d.Pool)
			}
		}
	}
	return pools
}

// exempt tells whether a pod is never kept off a node: one of a DaemonSet or of the system,
// and one whose namespace has not been seen yet, since nobody can tell its class.
func (x *Index) exempt(pod *corev1.Pod) bool {
	if _, seen := x.namespaces[pod.Namespace]; !seen {
		return true
	}
	owner := metav1.GetControllerOf(pod)
	return slices.Contains(systemNamespaces, pod.Namespace) || owner != nil && owner.Kind == "DaemonSet"
}

// node converts a node by name. One that has not been seen yet belongs to no pool and is
// empty, so that it is neither refused nor preferred.
func (x *Index) node(name string) *extender.Node {
	if e := x.nodes[name]; e != nil {
		return &e.Node
	}
	return &extender.Node{Name: name}
}

// victim converts a pod that would be deleted for another; one that is not known is taken for real work.
func (x *Index) victim(uid types.UID, taker *corev1.Pod) extender.Victim {
	entry := x.pods[uid]
	return extender.Victim{UID: uid, Pool: entry.pool, Requests: entry.requests, Priority: entry.priority, Taken: x.taken(uid), Going: x.claims[uid].going, Needed: x.needs(taker, uid)}
}

// needs tells whether a pod needs another one to go for more than its requests.
func (x *Index) needs(pod *corev1.Pod, victim types.UID) bool {
	return x.pods[victim].tied && extender.Tied(pod) || repels(x.ahead.repelling[victim], pod)
}

// swaps tells whether placeholders would do for those whom the scheduler would delete for a pod.
func (x *Index) swaps(pod *corev1.Pod, instead CandidateVictims) bool {
	return !slices.ContainsFunc(instead.Pods, func(uid types.UID) bool { return x.needs(pod, uid) })
}
