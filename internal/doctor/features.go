package doctor

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Feature is a kind of Kubernetes' own that not every supported API server serves.
type Feature struct {
	Kind schema.GroupVersionKind
	// Since is the version of Kubernetes that serves it without being told to.
	Since string
	// Without is how Forewarm behaves on an API server that does not.
	Without string
}

// Features lists them; docs/compatibility.md shows the list.
func Features() []Feature {
	kind := func(group, kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
	}
	return []Feature{
		{kind("admissionregistration.k8s.io", "MutatingAdmissionPolicy"), "1.36", "while no webhook answers, autoscalers are refused at their ceiling instead of clamped to it"},
		{kind("resource.k8s.io", "ResourceClaim"), "1.34", "GPUs of DRA claims do not count: not for totals and quotas, not for pools, not in pods' annotations"},
	}
}

// Unserved says what it means that a kind is not served.
func (f Feature) Unserved() string {
	return fmt.Sprintf("not served: %s %s/%s, which came with Kubernetes %s: %s", f.Kind.Kind, f.Kind.Group, f.Kind.Version, f.Since, f.Without)
}
