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
			ends = earlier(ends, o.Until)
		}
	}
	ends = earlier(ends, ahead(&spec, before, now))
	_, listed := namespace.Annotations[webhook.WorkloadMaxReplicas]
	_, limited := namespace.Annotations[webhook.MaxReplicas]
	return spec, listed || limited || len(spec.Own) > 0 || len(spec.Overrides) > 0, ends
}

// earlier is the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ahead keeps what was written ahead of a raise that is not stored yet, and returns when the first
// of that ends.
func ahead(spec *v1alpha1.CeilingSetSpec, before v1alpha1.CeilingSetSpec, now time.Time) (ends time.Time) {
	for key, until := range before.Ahead {
		if !now.Before(until.Time) {
			continue
		}
		looser := keepOwn(spec, before, key)
		if keepOverride(spec, before, key) || looser {
			announce(spec, key, until)
			ends = earlier(ends, until.Time)
		}
	}
	return ends
}

// keepOwn keeps a workload's own ceiling as it was before, where that is looser.
func keepOwn(spec *v1alpha1.CeilingSetSpec, before v1alpha1.CeilingSetSpec, key string) bool {
	is, set := spec.Own[key]
	if !set {
		return false
	}
	was, had := before.Own[key]
	if !had {
		delete(spec.Own, key)
		return true
	}
	spec.Own[key] = max(was, is)
	return was > is
}

// keepOverride keeps a workload's override as it was before, where that is looser.
func keepOverride(spec *v1alpha1.CeilingSetSpec, before v1alpha1.CeilingSetSpec, key string) bool {
	is, set := spec.Overrides[key]
	was, had := before.Overrides[key]
	if !had || set && was <= is {
		return false
	}
	spec.Overrides = with(spec.Overrides, key, was)
	return true
}

// Raise is a set with what a write that is about to be stored says of a workload, until a time;
// changed is false where nothing of that loosens anything.
func Raise(set v1alpha1.CeilingSetSpec, key string, written map[string]webhook.Rewrite, now, until time.Time) (spec v1alpha1.CeilingSetSpec, changed bool) {
	spec = *set.DeepCopy()
	changed = raiseOwn(&spec, key, written[webhook.MaxReplicas])
	if w := written[webhook.CeilingOverride]; w.New != nil {
		before, had := spec.Overrides[key]
		if o, err := webhook.ParseOverride(*w.New); err == nil && now.Before(o.Until) && (!had || o.Limit > before) {
			spec.Overrides, changed = with(spec.Overrides, key, o.Limit), true
		}
	}
	if changed {
		announce(&spec, key, metav1.NewTime(until))
	}
	return spec, changed
}

// raiseOwn raises or removes a workload's own ceiling, where the set has one.
func raiseOwn(spec *v1alpha1.CeilingSetSpec, key string, w webhook.Rewrite) bool {
	before, had := spec.Own[key]
	if !had || !webhook.Loosens(webhook.MaxReplicas, w) {
		return false
	}
	if w.New == nil {
		delete(spec.Own, key)
		return true
	}
	n, err := webhook.ParseCeiling(*w.New)
	if err != nil || n <= before {
		return false
	}
	spec.Own[key] = n
	return true
}

// announce says until when a workload's part stands ahead of what is stored.
func announce(spec *v1alpha1.CeilingSetSpec, key string, until metav1.Time) {
	if spec.Ahead == nil {
		spec.Ahead = map[string]metav1.Time{}
	}
	spec.Ahead[key] = until
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
