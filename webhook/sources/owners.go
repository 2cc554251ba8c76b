package sources

import (
	"context"
	"fmt"
	"math"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"forewarm.dev/webhook"
)

// Owners asks controllers how much they give what they control.
type Owners struct {
	// Live reads every object from the API server.
	Live  dynamic.Interface
	kinds Kinds
	log   logr.Logger
}

// NewOwners makes a reader of the controllers whose kinds answer for others.
func NewOwners(live dynamic.Interface, table []webhook.Kind, log logr.Logger) *Owners {
	return &Owners{live, Index(table), log}
}

// Controller is who answers for an object.
type Controller struct {
	metav1.OwnerReference
	// Group is which of its groups the object is, nil where it is none; the reference has no UID then.
	Group *int64
}

// Controller is who answers for an object of a name that has a controller, nil for nobody: where that is the
// pod that leads a group, whose group it is.
func (k Kinds) Controller(name string, reference *metav1.OwnerReference) *Controller {
	if reference == nil {
		return nil
	}
	of, ordinal, led := webhook.Leader(name, reference)
	if !led {
		return &Controller{OwnerReference: *reference}
	}
	for _, kind := range k {
		if kind.Groups != nil {
			return &Controller{metav1.OwnerReference{APIVersion: kind.Group + "/" + kind.Version, Kind: kind.Name, Name: of}, &ordinal}
		}
	}
	return &Controller{OwnerReference: *reference}
}

// Kind is the kind of the controller that a reference names; false where it answers for nobody.
func (o *Owners) Kind(reference *metav1.OwnerReference) (Kind, bool) {
	gv, err := schema.ParseGroupVersion(reference.APIVersion)
	kind, known := o.kinds.Named(gv.Group, reference.Kind)
	return kind, err == nil && known && kind.Vouches
}

// Get is the controller that a reference names, nil where none of that UID exists, or where
// its kind answers for nobody: then the object is held on its own. A controller that may not
// be read is believed, since a rollout that stalls is worse than a ceiling that is passed.
func (o *Owners) Get(ctx context.Context, namespace string, reference *Controller) (*webhook.Owner, error) {
	kind, answers := o.Kind(&reference.OwnerReference)
	if !answers {
		return nil, nil
	}
	owner := &webhook.Owner{Object: webhook.Object{Kind: reference.Kind, Namespace: namespace, Name: reference.Name}, Bound: math.MaxInt64}
	found, err := o.Read(ctx, kind, namespace, reference.Name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case apierrors.IsForbidden(err):
		o.log.Error(err, "A controller may not be read, so what it owns is not held to its ceiling; let the ClusterRole forewarm-webhook-parents get this resource", "controller", owner.Object.String())
		return owner, nil
	case err != nil:
		return nil, fmt.Errorf("get controller %s: %w", owner.Object, err)
	case reference.Group != nil:
		owner.Bound = kind.Groups.Of(found.Object).Bound(*reference.Group)
		return owner, nil
	case found.GetUID() != reference.UID:
		return nil, nil
	}
	owner.Bound = kind.Bound(found.Object)
	return owner, nil
}

// Read gets an object of a kind of the table.
func (o *Owners) Read(ctx context.Context, kind Kind, namespace, name string) (found *unstructured.Unstructured, err error) {
	err = kind.Served(func(gvr schema.GroupVersionResource) error {
		found, err = o.Live.Resource(gvr).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	return found, err
}

// Ask is what an object asks for, also where another has the pod template. Of one that is not there, or of a kind
// that is not in the table, the pods ask for nothing.
func (o *Owners) Ask(ctx context.Context, kind Kind, namespace string, object any) (webhook.Ask, error) {
	ask := kind.Ask(object)
	of, known := o.kinds.Named(ask.Template.Group, ask.Template.Kind)
	if ask.Template.Name == "" || !known {
		return ask, nil
	}
	found, err := o.Read(ctx, of, namespace, ask.Template.Name)
	if apierrors.IsNotFound(err) {
		return ask, nil
	}
	if err != nil {
		return ask, fmt.Errorf("get %s %s/%s, which has the pod template: %w", of.Name, namespace, ask.Template.Name, err)
	}
	return ask.Of(webhook.Pod(found.Object)), nil
}

// Standing is how many replicas a workload asks for already, 0 where that cannot be told.
func (o *Owners) Standing(ctx context.Context, kind Kind, workload webhook.Object) (int64, error) {
	found, err := o.Read(ctx, kind, workload.Namespace, workload.Name)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("get target %s: %w", workload, err)
	}
	replicas, _, _ := unstructured.NestedInt64(found.Object, "spec", "replicas")
	return replicas, nil
}

// Scaled is the count that a scale of an object comes to, where what /scale writes is only a
// part of it.
func (o *Owners) Scaled(ctx context.Context, kind Kind, object webhook.Object, change webhook.Change) (webhook.Change, error) {
	found, err := o.Read(ctx, kind, object.Namespace, object.Name)
	if apierrors.IsForbidden(err) {
		return change, UnreadableError{err}
	}
	if err != nil {
		return change, fmt.Errorf("get %s, which is scaled: %w", object, err)
	}
	return webhook.Change{
		Field: kind.Counts[0].Field, New: kind.ScaledTo(found.Object, change.New), Old: kind.ScaledTo(found.Object, change.Old),
	}, nil
}
