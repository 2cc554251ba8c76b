package handler

import (
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// kinds is the table of kinds by resource.
type kinds map[metav1.GroupResource]tableKind

// tableKind is a kind of the table.
type tableKind struct {
	webhook.Kind
	// plain is true where spec.replicas is all that counts and its absence means one, which
	// then needs no more of the object than a Scale has.
	plain bool
}

func index(table []webhook.Kind) kinds {
	out := kinds{}
	for _, k := range table {
		plain := len(k.Counts) == 1 && k.Counts[0].Of.String() == "spec.replicas=1"
		out[metav1.GroupResource{Group: k.Group, Resource: k.Resource}] = tableKind{k, plain}
	}
	return out
}

// of is the kind of a resource; one that is not in the table has replicas and is named by
// its resource, since a Scale does not carry its parent's kind.
func (k kinds) of(r metav1.GroupVersionResource) tableKind {
	if known, ok := k[metav1.GroupResource{Group: r.Group, Resource: r.Resource}]; ok {
		return known
	}
	unknown := webhook.Kind{Group: r.Group, Version: r.Version, Resource: r.Resource, Name: r.Resource, Measure: webhook.Replicas}
	if r.Group != "" {
		unknown.Name += "." + r.Group
	}
	return tableKind{Kind: unknown}
}

// named finds a kind by its group and name.
func (k kinds) named(group, name string) (tableKind, bool) {
	for _, kind := range k {
		if kind.Group == group && kind.Name == name {
			return kind, true
		}
	}
	return tableKind{}, false
}

// served calls read with the kind's resource in one version after the other, until one finds
// something: a server need not have them all.
func (k tableKind) served(read func(schema.GroupVersionResource) error) (err error) {
	for _, version := range k.Versions() {
		if err = read(k.In(version)); !apierrors.IsNotFound(err) {
			break
		}
	}
	return err
}

// replicas is the count of a plain kind before and after a write.
func (k tableKind) replicas(written, old object, create bool) []webhook.Change {
	change := webhook.Change{Field: k.Counts[0].Field, New: written.replicas(1)}
	if !create {
		change.Old = old.replicas(1)
	}
	return []webhook.Change{change}
}

// changes are the counts before and after a write. Those of a plain kind are decoded already.
func (k tableKind) changes(r *admissionv1.AdmissionRequest, after, before object) ([]webhook.Change, error) {
	if k.plain {
		return k.replicas(after, before, r.Operation == admissionv1.Create), nil
	}
	written, err := decodeAny(r.Object.Raw, "object")
	if err != nil {
		return nil, err
	}
	var old any
	if r.Operation != admissionv1.Create {
		if old, err = decodeAny(r.OldObject.Raw, "oldObject"); err != nil {
			return nil, err
		}
	}
	changes := make([]webhook.Change, 0, len(k.Counts))
	for _, count := range k.Counts {
		change := webhook.Change{Field: count.Field, New: count.Of.Evaluate(written)}
		if r.Operation != admissionv1.Create {
			change.Old = count.Of.Evaluate(old)
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// target is the reference to the workload. KEDA takes a Deployment where no kind is given.
func (k tableKind) target(raw []byte) (autoscalingv1.CrossVersionObjectReference, error) {
	reference := autoscalingv1.CrossVersionObjectReference{Kind: "Deployment", APIVersion: "apps/v1"}
	object, err := decodeAny(raw, "object")
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

func decodeAny(raw []byte, what string) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var out any
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, &out); err != nil {
		return nil, fmt.Errorf("decode %s: %w", what, err)
	}
	return out, nil
}
