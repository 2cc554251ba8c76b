package handler

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/waiting"
	"forewarm.dev/internal/quantity"
)

// await remembers a pod that the scheduler could not place, if we have refused it nodes.
func (x *Index) await(pod *corev1.Pod, message string) {
	x.waiting.Await(waiting.Pod{
		NamespacedName: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, UID: pod.UID,
		Priority: priorityOf(pod), Since: pod.CreationTimestamp.Time,
	}, message, pod.Annotations[v1alpha1.AnnotationRequeued])
}

// freed is the value of the annotation: which pool, in which version, let the pod go, since it holds
// nothing any more, or for which class, in which versions of its pool and of the pod's namespace, the pod
// may have what is held. It is the same in every replica, so that a second touch changes nothing.
func (x *Index) freed(pod waiting.Pod) string {
	for _, name := range pod.Pools {
		pool := x.pools[name]
		switch class := x.entitles(name, x.pending[pod.UID].pod); {
		case pool == nil:
			return name + "/gone"
		case !x.holding(name):
			return name + "/" + pool.ResourceVersion
		case class != "":
			return class + "/" + x.pools[class].ResourceVersion + "/" + x.namespaces[pod.Namespace].version
		}
	}
	return ""
}

// entitles is the class by which a pod may have what a pool holds: the pool's own, or one of a pool that
// gets no nodes and turns to it; empty if it may not.
func (x *Index) entitles(pool string, pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	requests := x.devices.Requests(pod, quantity.OfPod(pod))
	for i := range x.classes {
		c := &x.classes[i]
		if (c.Pool == pool || slices.Contains(x.turnedTo(c.Pool), pool)) && x.isOf(c, pod, requests) {
			return c.Pool
		}
	}
	return ""
}

// Due takes the pod out that is to be touched first, with the value of the annotation.
func (x *Index) Due() (pod waiting.Pod, value string, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.waiting.Due(x.now())
}

// Untouched says that a pod could not be touched: it is due again later, if it still waits.
func (x *Index) Untouched(pod waiting.Pod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pending[pod.UID].pod != nil {
		x.waiting.Retry(pod, x.now())
	}
}

// Woken has an element when pods have become due.
func (x *Index) Woken() <-chan struct{} { return x.waiting.Woken() }
