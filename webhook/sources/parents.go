package sources

import (
	"context"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/parts"
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

// Parents finds the object whose scale is written, and the one that an autoscaler targets.
type Parents struct {
	cached client.Reader
	live   metadata.Interface
	mapper meta.RESTMapper
	// cachedTargets is true where targets may be read from the cache too.
	cachedTargets bool
}

// NewParents makes a finder. cached must have informers for the metadata of ParentKinds.
func NewParents(cached client.Reader, live metadata.Interface, mapper meta.RESTMapper) *Parents {
	return &Parents{cached: cached, live: live, mapper: mapper}
}

// UnreadableError says that Forewarm may not read a kind.
type UnreadableError struct{ err error }

// Error names the remedy.
func (e UnreadableError) Error() string {
	return fmt.Sprintf("%v; let the ClusterRole forewarm-webhook-parents get this resource", e.err)
}

// Get is the metadata of the parent of a scale. The Scale carries the parent's UID and
// resource version: where the cache holds that version it is exact, else the parent is
// read live.
func (p *Parents) Get(ctx context.Context, r *admissionv1.AdmissionRequest, scale parts.Object) (*metav1.PartialObjectMetadata, error) {
	for _, gvk := range ParentKinds {
		if gvk.Group != r.Resource.Group || strings.ToLower(gvk.Kind)+"s" != r.Resource.Resource {
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
	o, err := p.read(ctx, resource, r.Namespace, r.Name)
	if err != nil {
		return nil, fmt.Errorf("get the parent of scale %s %s/%s: %w", r.Resource.Resource, r.Namespace, r.Name, err)
	}
	return o, nil
}

// Behind finds targets in the cache, where it holds their kind: for those who are told when
// it changes.
func (p *Parents) Behind() *Parents {
	out := *p
	out.cachedTargets = true
	return &out
}

// Kind is the kind of what a reference names, nil where there is none.
func (p *Parents) Kind(table Kinds, reference autoscalingv1.CrossVersionObjectReference) (*Kind, error) {
	gv, err := schema.ParseGroupVersion(reference.APIVersion)
	if err != nil {
		return nil, nil //nolint:nilerr // no such workload exists
	}
	if known, ok := table.Named(gv.Group, reference.Kind); ok {
		return &known, nil
	}
	mapping, err := p.mapper.RESTMapping(gv.WithKind(reference.Kind).GroupKind(), gv.Version)
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the resource of %s %s: %w", reference.APIVersion, reference.Kind, err)
	}
	return new(table.Of(metav1.GroupVersionResource(mapping.Resource))), nil
}

// Target is the metadata of the workload that an autoscaler's object points to, nil where
// there is none. It is read live, unless from behind: nothing in the reference tells whether a
// cache is exact.
func (p *Parents) Target(ctx context.Context, kind Kind, workload webhook.Object) (*metav1.PartialObjectMetadata, error) {
	o, err := p.findTarget(ctx, kind, workload)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get target %s: %w", workload, err)
	}
	return o, nil
}

func (p *Parents) findTarget(ctx context.Context, kind Kind, workload webhook.Object) (o *metav1.PartialObjectMetadata, err error) {
	for _, gvk := range ParentKinds {
		if p.cachedTargets && gvk.Group == kind.Group && gvk.Kind == workload.Kind {
			o := &metav1.PartialObjectMetadata{}
			o.SetGroupVersionKind(gvk)
			return o, p.cached.Get(ctx, client.ObjectKey{Namespace: workload.Namespace, Name: workload.Name}, o, client.UnsafeDisableDeepCopy)
		}
	}
	err = kind.Served(func(gvr schema.GroupVersionResource) error {
		o, err = p.read(ctx, gvr, workload.Namespace, workload.Name)
		return err
	})
	return o, err
}

func (p *Parents) read(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	o, err := p.live.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsForbidden(err) {
		return nil, UnreadableError{err}
	}
	return o, err
}
