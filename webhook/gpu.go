package webhook

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"

	"forewarm.dev/internal/quantity"
)

// Annotations that a pod gets.
const (
	GPUVendor = "forewarm.dev/gpu-vendor"
	GPUCount  = "forewarm.dev/gpu-count"
	PoolName  = "forewarm.dev/pool"
)

// vendor is whose GPU a resource is, and the taint that GPU nodes of that kind carry by
// custom; empty for a resource that is no GPU.
//
// A MIG slice and a time-sliced share count as one each: they are what the pod asks the
// device plugin for. Intel's plugin also offers memory, millicores, tiles and monitoring,
// which are no devices.
func vendor(name corev1.ResourceName) (vendor, taint string) {
	s := string(name)
	intel, isIntel := strings.CutPrefix(s, "gpu.intel.com/")
	switch {
	case s == "nvidia.com/gpu", s == "nvidia.com/gpu.shared", strings.HasPrefix(s, "nvidia.com/mig-"):
		return "nvidia", "nvidia.com/gpu"
	case s == "amd.com/gpu":
		return "amd", s
	case isIntel && intel != "memory.max" && intel != "millicores" && intel != "tiles" && !strings.HasSuffix(intel, "_monitoring"):
		return "intel", s
	}
	return "", ""
}

// requests are what the scheduler reserves for a pod: the highest of its init containers
// and the sum of its containers and sidecars. The API server has copied limits of extended
// resources into requests before admission.
func requests(pod *corev1.Pod) quantity.Vector {
	return quantity.Of(resource.PodRequests(pod, resource.PodResourcesOptions{}))
}

// gpu annotates vendor and number, and tolerates the GPU taint. A pod that mixes vendors
// is said to be of the one it asks most of; equal ones by name.
func gpu(r Request, d *draft) bool {
	counts, asked := map[string]int64{}, requests(r.Pod)
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		vendor, taint := vendor(name)
		if vendor == "" || asked[name] <= 0 {
			continue
		}
		counts[vendor] += asked[name]
		d.tolerate(r.Pod, corev1.Toleration{Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	most := ""
	for _, vendor := range slices.Sorted(maps.Keys(counts)) {
		if most == "" || counts[vendor] > counts[most] {
			most = vendor
		}
	}
	if most != "" {
		d.annotate(r.Pod, GPUVendor, most)
		d.annotate(r.Pod, GPUCount, strconv.FormatInt(counts[most], 10))
	}
	return false
}

// annotate wants an annotation on the pod.
func (d *draft) annotate(pod *corev1.Pod, key, value string) {
	if has, ok := pod.Annotations[key]; ok && has == value {
		return
	}
	if d.annotations == nil {
		d.annotations = map[string]string{}
	}
	d.annotations[key] = value
}

// tolerate wants a toleration on the pod, unless another one covers it already.
func (d *draft) tolerate(pod *corev1.Pod, t corev1.Toleration) {
	covers := func(has corev1.Toleration) bool { return covers(has, t) }
	if !slices.ContainsFunc(pod.Spec.Tolerations, covers) && !slices.ContainsFunc(d.tolerations, covers) {
		d.tolerations = append(d.tolerations, t)
	}
}

// covers says whether toleration a tolerates everything that b does. It may say no where
// it cannot tell, in which case b is added, which does no harm.
func covers(a, b corev1.Toleration) bool {
	if a.Effect != "" && a.Effect != b.Effect {
		return false
	}
	if a.TolerationSeconds != nil && (b.TolerationSeconds == nil || *a.TolerationSeconds != *b.TolerationSeconds) {
		return false
	}
	if a.Operator == corev1.TolerationOpExists {
		return a.Key == "" || a.Key == b.Key
	}
	return a.Key == b.Key && a.Value == b.Value && operator(a) == operator(b)
}

// operator fills in the default.
func operator(t corev1.Toleration) corev1.TolerationOperator {
	if t.Operator == "" {
		return corev1.TolerationOpEqual
	}
	return t.Operator
}
