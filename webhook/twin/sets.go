package twin

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// Workload is an object with a ceiling of its own, by metadata.
type Workload struct {
	// Key is resource.group/name, such as deployments.apps/web.
	Key         string
	Annotations map[string]string
}

// Compile makes the set of a Namespace from its annotations and its workloads, and says when
// the first override ends, zero where none does. What cannot be read keeps what the set before
// said. present is false where nothing is to be kept.
func Compile(namespace *metav1.PartialObjectMetadata, workloads []Workload, before v1alpha1.CeilingSetSpec, now time.Time) (spec v1alpha1.CeilingSetSpec, present bool, ends time.Time) {
	spec.MaxReplicas = ofNamespace(namespace, before.MaxReplicas)
	spec.Named = named(namespace, before.Named)
	for _, w := range workloads {
		if limit, known := own(w, before.Own); known {
			spec.Own = with(spec.Own, w.Key, limit)
		}
		if o, err := webhook.ParseOverride(w.Annotations[webhook.CeilingOverride]); err == nil && now.Before(o.Until) {
			spec.Overrides = with(spec.Overrides, w.Key, o.Limit)
			if ends.IsZero() || o.Until.Before(ends) {
				ends = o.Until
			}
		}
	}
	_, listed := namespace.Annotations[webhook.WorkloadMaxReplicas]
	_, limited := namespace.Annotations[webhook.MaxReplicas]
	return spec, listed || limited || len(spec.Own) > 0 || len(spec.Overrides) > 0, ends
}

func ofNamespace(namespace *metav1.PartialObjectMetadata, lastGood *int64) *int64 {
	value, set := namespace.Annotations[webhook.MaxReplicas]
	if !set {
		return nil
	}
	if n, err := webhook.ParseCeiling(value); err == nil {
		return &n
	}
	return lastGood
}

func named(namespace *metav1.PartialObjectMetadata, lastGood map[string]int64) map[string]int64 {
	value, set := namespace.Annotations[webhook.WorkloadMaxReplicas]
	if !set {
		return nil
	}
	limits, err := webhook.ParseWorkloads(value)
	if err != nil {
		return lastGood
	}
	var out map[string]int64
	for workload, limit := range limits {
		for _, key := range keys(workload) {
			out = with(out, key, limit)
		}
	}
	return out
}

func own(w Workload, lastGood map[string]int64) (limit int64, known bool) {
	value, set := w.Annotations[webhook.MaxReplicas]
	if !set {
		return 0, false
	}
	if n, err := webhook.ParseCeiling(value); err == nil {
		return n, true
	}
	limit, known = lastGood[w.Key]
	return limit, known
}

func with(limits map[string]int64, key string, limit int64) map[string]int64 {
	if limits == nil {
		limits = map[string]int64{}
	}
	limits[key] = limit
	return limits
}

// keys are the resources that kind/name can mean, as resource.group/name.
func keys(workload string) []string {
	kind, name, _ := strings.Cut(workload, "/")
	var out []string
	for _, k := range webhook.Kinds() {
		if strings.ToLower(k.Name) == kind {
			out = append(out, Key(k.Group, k.Resource, name))
		}
	}
	return out
}

// Key is how a set names a workload.
func Key(group, resource, name string) string {
	if group != "" {
		resource += "." + group
	}
	return resource + "/" + name
}
