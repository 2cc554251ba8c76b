package handler

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Auditable are the nodes that matter, in order: those of a pool, and those that offer an
// extended resource.
func (x *Index) Auditable() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var names []string
	for name, e := range x.nodes {
		if e.Pool != "" || offersExtended(e) || !e.known {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}

func offersExtended(e *nodeEntry) bool {
	for name, amount := range e.Allocatable {
		if amount > 0 && slices.Contains([]byte(name), '/') {
			return true
		}
	}
	return false
}

// PodsOn are the pods on a node that the index knows.
func (x *Index) PodsOn(node string) map[types.UID]types.NamespacedName {
	x.mu.Lock()
	defer x.mu.Unlock()
	pods := map[types.UID]types.NamespacedName{}
	for uid, pod := range x.pods {
		if pod.node == node {
			pods[uid] = pod.key
		}
	}
	return pods
}

// Repair takes in a pod that was read now, and names what was wrong; empty if nothing was.
func (x *Index) Repair(pod *corev1.Pod) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	before, had := x.pods[pod.UID]
	switch {
	case had && before.node == pod.Spec.NodeName, !had && pod.Spec.NodeName == "":
		return ""
	case had && newer(before.version, pod.ResourceVersion):
		return ""
	}
	x.setPod(pod)
	if had {
		return "stale"
	}
	return "missing"
}

// RepairGone forgets a pod that is no more.
func (x *Index) RepairGone(uid types.UID) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, had := x.pods[uid]; !had {
		return ""
	}
	x.dropPod(uid)
	return "gone"
}

// newer tells whether resource version a is after b; they are decimal numbers.
func newer(a, b string) bool {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) > 0
}
