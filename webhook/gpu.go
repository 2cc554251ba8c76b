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
	GPUShape  = "forewarm.dev/gpu-shape"
	PoolName  = "forewarm.dev/pool"
)

// GPUSet is a number of GPUs of one kind.
type GPUSet struct {
	// Vendor is nvidia, amd or intel.
	Vendor string
	// Taint is what nodes with such GPUs carry by custom; empty where there is no custom.
	Taint string
	// Shape is what one of them is: "whole", "shared" for a share of a time-sliced device, the
	// profile of a slice, or the DeviceClass by which it is claimed.
	Shape string
	Count int64
}

// gpuOf is what one of an extended resource is; false for a resource that is no GPU.
//
// A slice and a time-sliced share count as one each: they are what the pod asks the device
// plugin for. Intel's plugin also offers memory, millicores, tiles and monitoring, which are no
// devices; AMD's names partitions by compute and memory mode.
func gpuOf(name corev1.ResourceName) (GPUSet, bool) {
	domain, device, _ := strings.Cut(string(name), "/")
	switch domain {
	case "nvidia.com":
		shape := map[string]string{"gpu": "whole", "gpu.shared": "shared"}[device]
		if strings.HasPrefix(device, "mig-") {
			shape = device
		}
		return GPUSet{Vendor: "nvidia", Taint: "nvidia.com/gpu", Shape: shape, Count: 1}, shape != ""
	case "amd.com":
		if device == "gpu" {
			return GPUSet{Vendor: "amd", Taint: string(name), Shape: "whole", Count: 1}, true
		}
		return GPUSet{Vendor: "amd", Taint: "amd.com/gpu", Shape: device, Count: 1}, strings.Contains(device, "_nps")
	case "gpu.intel.com":
		other := device == "memory.max" || device == "millicores" || device == "tiles" || strings.HasSuffix(device, "_monitoring")
		return GPUSet{Vendor: "intel", Taint: string(name), Shape: "whole", Count: 1}, !other
	}
	return GPUSet{}, false
}

// IsGPU tells whether an extended resource is one of GPUs, or of slices or shares of them.
func IsGPU(name corev1.ResourceName) bool {
	_, is := gpuOf(name)
	return is
}

// requests are what the scheduler reserves for a pod: the highest of its init containers
// and the sum of its containers and sidecars. The API server has copied limits of extended
// resources into requests before admission.
func requests(pod *corev1.Pod) quantity.Vector {
	return quantity.Of(resource.PodRequests(pod, resource.PodResourcesOptions{}))
}

// pluginGPUs are those that device plugins give to a pod that asks for these resources.
func pluginGPUs(asked quantity.Vector) []GPUSet {
	var out []GPUSet
	for _, name := range asked.Names() {
		if set, is := gpuOf(name); is && asked[name] > 0 {
			set.Count = asked[name]
			out = append(out, set)
		}
	}
	return out
}

// gpu annotates vendor, number and shapes, and tolerates the GPU taint. A pod that mixes vendors
// is said to be of the one it asks most of; equal ones by name.
func gpu(r Request, d *draft) bool {
	d.asked = requests(r.Pod)
	sets := pluginGPUs(d.asked)
	plugin := len(sets)
	for _, use := range claimUses(&r.Pod.Spec, d.asked) {
		for _, set := range r.Claims[use.ClaimRef] {
			set.Count = quantity.Multiply(set.Count, use.times)
			sets = append(sets, set)
		}
	}
	d.claimsOnly = plugin == 0 && len(sets) > 0
	counts, shapes := map[string]int64{}, map[string][]string{}
	for _, set := range sets {
		counts[set.Vendor] = quantity.Add(counts[set.Vendor], set.Count)
		shapes[set.Vendor] = append(shapes[set.Vendor], set.Shape)
		if set.Taint != "" {
			d.tolerate(r.Pod, corev1.Toleration{Key: set.Taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	most := ""
	for _, vendor := range slices.Sorted(maps.Keys(counts)) {
		if most == "" || counts[vendor] > counts[most] {
			most = vendor
		}
	}
	if most != "" {
		slices.Sort(shapes[most])
		d.annotate(r.Pod, GPUVendor, most)
		d.annotate(r.Pod, GPUCount, strconv.FormatInt(counts[most], 10))
		d.annotate(r.Pod, GPUShape, strings.Join(slices.Compact(shapes[most]), ","))
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
