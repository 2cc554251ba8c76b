package sources

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"forewarm.dev/webhook"
)

var (
	// NodePools are the resource of Karpenter's NodePools.
	NodePools = webhook.NodePools.In(webhook.NodePools.Version)
	// Nodes are the resource of Nodes.
	Nodes = corev1.SchemeGroupVersion.WithResource("nodes")
)

// Kinds is the table of kinds by resource.
type Kinds map[metav1.GroupResource]Kind

// Kind is a kind of the table.
type Kind struct {
	webhook.Kind
	// Plain is true where spec.replicas is all that counts and its absence means one, which
	// then needs no more of the object than a Scale has.
	Plain bool
}

// Index makes the table.
func Index(table []webhook.Kind) Kinds {
	out := Kinds{}
	for _, k := range table {
		plain := len(k.Counts) == 1 && k.Counts[0].Of.String() == "spec.replicas=1"
		out[metav1.GroupResource{Group: k.Group, Resource: k.Resource}] = Kind{k, plain}
	}
	return out
}

// Of is the kind of a resource; one that is not in the table has replicas and is named by
// its resource, since a Scale does not carry its parent's kind.
func (k Kinds) Of(r metav1.GroupVersionResource) Kind {
	if known, ok := k[metav1.GroupResource{Group: r.Group, Resource: r.Resource}]; ok {
		return known
	}
	unknown := webhook.Kind{Group: r.Group, Version: r.Version, Resource: r.Resource, Name: r.Resource, Measure: webhook.Replicas}
	if r.Group != "" {
		unknown.Name += "." + r.Group
	}
	return Kind{Kind: unknown}
}

// Named finds a kind by its group and name.
func (k Kinds) Named(group, name string) (Kind, bool) {
	for _, kind := range k {
		if kind.Group == group && kind.Name == name {
			return kind, true
		}
	}
	return Kind{}, false
}

// Served calls read with the kind's resource in one version after the other, until one finds
// something: a server need not have them all.
func (k Kind) Served(read func(schema.GroupVersionResource) error) (err error) {
	for _, version := range k.Versions() {
		if err = read(k.In(version)); !apierrors.IsNotFound(err) {
			break
		}
	}
	return err
}
