package webhook

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"

	"forewarm.dev/internal/quantity"
)

// ClaimSource is what tells how many GPUs a pod gets by dynamic resource allocation (DRA).
type ClaimSource string

// Claim sources.
const (
	// FromTemplate is a ResourceClaimTemplate, by which each pod gets a claim of its own.
	FromTemplate ClaimSource = "ResourceClaimTemplate"
	// FromClaim is a ResourceClaim, whose devices all pods share that name it.
	FromClaim ClaimSource = "ResourceClaim"
	// FromClass is a DeviceClass that a container asks for like an extended resource.
	FromClass ClaimSource = "DeviceClass"
)

// ClaimRef names a claim source. Templates and claims are of the pod's Namespace.
type ClaimRef struct {
	Source ClaimSource
	Name   string
}

// Claims are the GPUs of claim sources. What is missing is not there yet, or has none.
type Claims map[ClaimRef][]GPUSet

// gpus is the number of all.
func (c Claims) gpus(ref ClaimRef) int64 {
	sum := int64(0)
	for _, set := range c[ref] {
		sum = quantity.Add(sum, set.Count)
	}
	return sum
}

// claimUse is a claim source, times how often a pod uses it.
type claimUse struct {
	ClaimRef
	times int64
}

// claimUses are those of one pod that asks for these resources, in a stable order. A claim that
// is named twice is one claim.
func claimUses(spec *corev1.PodSpec, asked quantity.Vector) []claimUse {
	var uses map[ClaimRef]int64
	use := func(source ClaimSource, name string, times int64) {
		if uses == nil {
			uses = map[ClaimRef]int64{}
		}
		ref := ClaimRef{source, name}
		uses[ref] = quantity.Add(uses[ref], times)
	}
	for _, claim := range spec.ResourceClaims {
		switch {
		case claim.ResourceClaimTemplateName != nil:
			use(FromTemplate, *claim.ResourceClaimTemplateName, 1)
		case claim.ResourceClaimName != nil:
			use(FromClaim, *claim.ResourceClaimName, 1)
		}
	}
	for name, n := range asked {
		if class, is := strings.CutPrefix(string(name), resourcev1.ResourceDeviceClassPrefix); is && n > 0 {
			use(FromClass, class, n)
		}
	}
	out := make([]claimUse, 0, len(uses))
	for _, ref := range slices.SortedFunc(maps.Keys(uses), compareRefs) {
		if ref.Source == FromClaim {
			uses[ref] = 1
		}
		out = append(out, claimUse{ref, uses[ref]})
	}
	return out
}

func compareRefs(a, b ClaimRef) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Name, b.Name))
}

// ClaimsOf are the claim sources of a pod, none for most.
func ClaimsOf(pod *corev1.Pod) []ClaimRef {
	var out []ClaimRef
	for _, use := range claimUses(&pod.Spec, requests(pod)) {
		out = append(out, use.ClaimRef)
	}
	return out
}

// Classes are the DeviceClasses that offer GPUs, by name.
type Classes map[string]GPUSet

// drivers are those of the vendors' GPUs; NVIDIA's for ComputeDomains is not among them.
var drivers = map[string]GPUSet{
	"gpu.nvidia.com": {Vendor: "nvidia", Taint: "nvidia.com/gpu"},
	"gpu.amd.com":    {Vendor: "amd", Taint: "amd.com/gpu"},
	"gpu.intel.com":  {Vendor: "intel"},
}

// ClassGPUs is what one device of a DeviceClass is: a GPU where the class stands for a GPU's
// extended resource, or where a selector names a GPU driver; false for other devices.
func ClassGPUs(class *resourcev1.DeviceClass) (GPUSet, bool) {
	set, is := GPUSet{}, false
	if name := class.Spec.ExtendedResourceName; name != nil {
		set, is = gpuOf(corev1.ResourceName(*name))
	}
	for _, selector := range class.Spec.Selectors {
		if selector.CEL == nil || is {
			continue
		}
		for _, driver := range slices.Sorted(maps.Keys(drivers)) {
			if strings.Contains(selector.CEL.Expression, `"`+driver+`"`) || strings.Contains(selector.CEL.Expression, `'`+driver+`'`) {
				set, is = drivers[driver], true
				break
			}
		}
	}
	set.Shape, set.Count = class.Name, 1
	return set, is
}

// GPUs are those that a claim asks for. Of alternatives the greatest counts, and of equal ones
// the first; all devices count as the most that one claim can get, as ResourceQuota counts them;
// access to devices that others hold counts as none.
func (c Classes) GPUs(spec *resourcev1.ResourceClaimSpec) []GPUSet {
	var out []GPUSet
	for _, request := range spec.Devices.Requests {
		var most GPUSet
		if exactly := request.Exactly; exactly != nil && (exactly.AdminAccess == nil || !*exactly.AdminAccess) {
			most = c.times(exactly.DeviceClassName, exactly.AllocationMode, exactly.Count)
		}
		for _, alternative := range request.FirstAvailable {
			if set := c.times(alternative.DeviceClassName, alternative.AllocationMode, alternative.Count); set.Count > most.Count {
				most = set
			}
		}
		if most.Count > 0 {
			out = append(out, most)
		}
	}
	return out
}

func (c Classes) times(class string, mode resourcev1.DeviceAllocationMode, count int64) GPUSet {
	set, is := c[class]
	switch {
	case !is:
		return GPUSet{}
	case mode == resourcev1.DeviceAllocationModeAll:
		set.Count = resourcev1.AllocationResultsMaxSize
	default: // the API server has made an absent count 1
		set.Count = max(count, 0)
	}
	return set
}
