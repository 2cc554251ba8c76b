package handler

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kinds whose metadata is watched.
var (
	NamespaceKind = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	// ParentKinds are the parents that are read from a cache where it is exact.
	ParentKinds = []schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	}
)

// Parents finds the object whose scale is written.
type Parents struct {
	cached client.Reader
	live   metadata.Interface
}

// NewParents makes a finder. cached must have informers for the metadata of ParentKinds.
func NewParents(cached client.Reader, live metadata.Interface) *Parents {
	return &Parents{cached, live}
}

// unreadableError says that Forewarm may not read a kind.
type unreadableError struct{ err error }

func (e unreadableError) Error() string {
	return fmt.Sprintf("%v; let the ClusterRole forewarm-webhook-parents get this resource", e.err)
}

// get is the metadata of the parent of a scale. The Scale carries the parent's UID and
// resource version: where the cache holds that version it is exact, else the parent is
// read live.
func (p *Parents) get(ctx context.Context, r *admissionv1.AdmissionRequest, scale object) (*metav1.PartialObjectMetadata, error) {
	for _, gvk := range ParentKinds {
		if gvk.Group != r.Resource.Group || gvk.Kind != kind(r.Resource) {
			continue
		}
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(gvk)
		err := p.cached.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Name}, o, client.UnsafeDisableDeepCopy)
		if err == nil && o.UID == scale.Metadata.UID && o.ResourceVersion == scale.Metadata.ResourceVersion {
			return o, nil
		}
	}
	resource := schema.GroupVersionResource{Group: r.Resource.Group, Version: r.Resource.Version, Resource: r.Resource.Resource}
	o, err := p.live.Resource(resource).Namespace(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsForbidden(err) {
		return nil, unreadableError{err}
	}
	if err != nil {
		return nil, fmt.Errorf("get the parent of scale %s %s/%s: %w", r.Resource.Resource, r.Namespace, r.Name, err)
	}
	return o, nil
}
