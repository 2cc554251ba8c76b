// Package quantity holds resource vectors as int64 in base units, so that deciding about
// room needs no big decimals: CPU in millicores, every other resource in its own unit
// (bytes, GPUs).
package quantity

import (
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-helpers/resource"
)

// Vector is an amount per resource, in base units. A missing resource is zero.
// The methods never change their receiver.
type Vector map[corev1.ResourceName]int64

// Of converts a ResourceList; fractions are rounded up, and what is too much for an int64 is its
// largest.
func Of(list corev1.ResourceList) Vector {
	v := make(Vector, len(list))
	for name, q := range list {
		v[name] = amountOf(name, q)
	}
	return v
}

func amountOf(name corev1.ResourceName, q apiresource.Quantity) int64 {
	most := int64(math.MaxInt64)
	if name == corev1.ResourceCPU {
		most /= 1000
	}
	switch {
	case q.CmpInt64(most) >= 0:
		return math.MaxInt64
	case name == corev1.ResourceCPU:
		return q.MilliValue()
	default:
		return q.Value()
	}
}

// OfPod is what the scheduler reserves for a pod: the highest of its init containers and
// the sum of its containers and sidecars, plus overhead, plus one of resource "pods". While a pod is
// resized, that is the highest of what it asks for, what its node has allocated, and what it still has.
func OfPod(pod *corev1.Pod) Vector {
	v := Of(requestsOf(pod))
	v[corev1.ResourcePods] = 1
	return v
}

// requestsOf needs no sum for a pod of one container, as most are: where there are many pods, the sums
// are most of what a look at all of them costs.
func requestsOf(pod *corev1.Pod) corev1.ResourceList {
	spec := &pod.Spec
	if len(spec.Containers) == 1 && len(spec.InitContainers) == 0 && len(spec.Overhead) == 0 && spec.Resources == nil && !resized(pod) {
		return spec.Containers[0].Resources.Requests
	}
	return resource.PodRequests(pod, asScheduled)
}

// asScheduled is how kube-scheduler counts: of clusters that resize no pods, statuses say nothing.
var asScheduled = resource.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}

// resized tells whether the status of a pod of one container may say more than its spec, or that it never
// gets what that asks for.
func resized(pod *corev1.Pod) bool {
	asked, status := pod.Spec.Containers[0].Resources.Requests, &pod.Status
	for i := range status.ContainerStatuses {
		c := &status.ContainerStatuses[i]
		if exceeds(c.AllocatedResources, asked) || c.Resources != nil && exceeds(c.Resources.Requests, asked) {
			return true
		}
	}
	return exceeds(status.AllocatedResources, asked) || status.Resources != nil && exceeds(status.Resources.Requests, asked) || resource.IsPodResizeInfeasible(pod)
}

func exceeds(a, b corev1.ResourceList) bool {
	for name, q := range a {
		if q.Cmp(b[name]) > 0 {
			return true
		}
	}
	return false
}

// Plus is v + w.
func (v Vector) Plus(w Vector) Vector {
	sum := maps.Clone(v)
	if sum == nil {
		sum = make(Vector, len(w))
	}
	for name, amount := range w {
		sum[name] += amount
	}
	return sum
}

// Minus is v − w; amounts may become negative.
func (v Vector) Minus(w Vector) Vector {
	rest := maps.Clone(v)
	if rest == nil {
		rest = make(Vector, len(w))
	}
	for name, amount := range w {
		rest[name] -= amount
	}
	return rest
}

// MinusPods is v less what the scheduler reserves for each of some pods.
func (v Vector) MinusPods(pods []*corev1.Pod) Vector {
	rest := v.Minus(Vector{corev1.ResourcePods: int64(len(pods))})
	for _, pod := range pods {
		for name, q := range requestsOf(pod) {
			rest[name] -= amountOf(name, q)
		}
	}
	return rest
}

// Times is v × n.
func (v Vector) Times(n int64) Vector {
	scaled := make(Vector, len(v))
	for name, amount := range v {
		scaled[name] = amount * n
	}
	return scaled
}

// FitsIn tells whether room has at least v of every resource that v asks for.
func (v Vector) FitsIn(room Vector) bool {
	for name, amount := range v {
		if amount > 0 && amount > room[name] {
			return false
		}
	}
	return true
}

// CountIn is how many times v fits in room; zero if v asks for nothing.
func (v Vector) CountIn(room Vector) int64 {
	count := int64(-1)
	for name, amount := range v {
		if amount <= 0 {
			continue
		}
		if n := max(room[name], 0) / amount; count < 0 || n < count {
			count = n
		}
	}
	return max(count, 0)
}

// Names are the resources of v in sorted order.
func (v Vector) Names() []corev1.ResourceName {
	return slices.Sorted(maps.Keys(v))
}
