package handler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/waiting"
)

// await remembers a pod that the scheduler could not place, if we have refused it nodes.
func (x *Index) await(pod *corev1.Pod, message string) {
	x.waiting.Await(waiting.Pod{
		NamespacedName: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, UID: pod.UID,
		Priority: priorityOf(pod), Since: pod.CreationTimestamp.Time,
	}, message, pod.Annotations[v1alpha1.AnnotationRequeued])
}

// freed is the value of the annotation: which pool, in which version, let the pod go. It is the
// same in every replica, so that a second touch changes nothing.
func (x *Index) freed(pod waiting.Pod) string {
	for _, name := range pod.Pools {
		if x.holding(name) {
			continue
		}
		if pool := x.pools[name]; pool != nil {
			return name + "/" + pool.ResourceVersion
		}
		return name + "/gone"
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
