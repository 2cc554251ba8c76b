package handler

import (
	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
	"forewarm.dev/webhook/parts"
	"forewarm.dev/webhook/sources"
)

// replicas is the count of a plain kind before and after a write.
func replicas(k sources.Kind, written, old parts.Object, create bool) []webhook.Change {
	change := webhook.Change{Field: k.Counts[0].Field, New: written.Replicas(1)}
	if !create {
		change.Old = old.Replicas(1)
	}
	return []webhook.Change{change}
}

// changes are the counts before and after a write. Those of a plain kind are decoded already.
func changes(k sources.Kind, r *admissionv1.AdmissionRequest, after, before parts.Object) ([]webhook.Change, error) {
	if k.Plain {
		return replicas(k, after, before, r.Operation == admissionv1.Create), nil
	}
	written, err := parts.Any(r.Object.Raw, "object")
	if err != nil {
		return nil, err
	}
	var old any
	if r.Operation != admissionv1.Create {
		if old, err = parts.Any(r.OldObject.Raw, "oldObject"); err != nil {
			return nil, err
		}
	}
	out := make([]webhook.Change, 0, len(k.Counts))
	for _, count := range k.Counts {
		change := webhook.Change{Field: count.Field, New: count.Of.Evaluate(written)}
		if r.Operation != admissionv1.Create {
			change.Old = count.Of.Evaluate(old)
		}
		out = append(out, change)
	}
	return out, nil
}

// targetOf is the reference to the workload. KEDA takes a Deployment where no kind is given.
func targetOf(k sources.Kind, raw []byte) (autoscalingv1.CrossVersionObjectReference, error) {
	reference := autoscalingv1.CrossVersionObjectReference{Kind: "Deployment", APIVersion: "apps/v1"}
	object, err := parts.Any(raw, "object")
	if err != nil {
		return reference, err
	}
	for field, into := range map[string]*string{"kind": &reference.Kind, "apiVersion": &reference.APIVersion, "name": &reference.Name} {
		if value, ok := expression.Text(object, k.Target+"."+field); ok && value != "" {
			*into = value
		}
	}
	return reference, nil
}
