// Package devices finds out how many GPUs the claims of dynamic resource allocation (DRA) ask
// for, from caches of DeviceClasses, ResourceClaimTemplates and ResourceClaims. Clusters without
// resource.k8s.io/v1, those before Kubernetes 1.34, have none.
package devices

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourceclient "k8s.io/client-go/kubernetes/typed/resource/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/internal/observe"
	"forewarm.dev/webhook"
)

// Claims finds claims.
type Claims struct {
	*observe.Optional
	cached  client.Reader
	live    resourceclient.ResourceV1Interface
	changed []func(namespace string)
}

// New makes a finder; Start must run. The cache must use [Slim].
func New(cached cache.Cache, live resourceclient.ResourceV1Interface, log logr.Logger) *Claims {
	c := &Claims{cached: cached, live: live}
	c.Optional = observe.NewOptional(observe.OptionalOptions{
		Informers: cached, Log: log, Watched: c.watched,
		Kinds:   []client.Object{&resourcev1.DeviceClass{}, &resourcev1.ResourceClaimTemplate{}, &resourcev1.ResourceClaim{}},
		Without: "The API server does not serve resource.k8s.io/v1; GPUs of DRA claims do not count until it does",
	})
	return c
}

// OnChange has f called with the namespace in which claims may ask for something else, or with
// none for all. It must be called before Start.
func (c *Claims) OnChange(f func(namespace string)) { c.changed = append(c.changed, f) }

func (c *Claims) watched(_ client.Object, informer cache.Informer) error {
	tell := func(seen any) {
		if unknown, ok := seen.(toolscache.DeletedFinalStateUnknown); ok {
			seen = unknown.Obj
		}
		if claim, is := seen.(*resourcev1.ResourceClaim); is && generated(claim) {
			return
		}
		if o, ok := seen.(metav1.Object); ok {
			for _, f := range c.changed {
				f(o.GetNamespace())
			}
		}
	}
	// The spec of a claim and of a template never changes.
	_, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: tell, DeleteFunc: tell, UpdateFunc: func(_, o any) {
		if _, is := o.(*resourcev1.DeviceClass); is {
			tell(o)
		}
	}})
	return err
}

// generated says whether a claim was made from a template, for one pod, so that no workload
// names it.
func generated(claim *resourcev1.ResourceClaim) bool {
	_, is := claim.Annotations[resourcev1.PodResourceClaimAnnotation]
	return is
}

// Slim is the transform of a cache that keeps of claims and templates what they ask for.
func Slim(in any) (any, error) {
	switch o := in.(type) {
	case *resourcev1.ResourceClaim:
		slim := &resourcev1.ResourceClaim{ObjectMeta: meta(o.ObjectMeta)}
		if name, is := o.Annotations[resourcev1.PodResourceClaimAnnotation]; is {
			slim.Annotations = map[string]string{resourcev1.PodResourceClaimAnnotation: name}
		}
		slim.Spec.Devices.Requests = o.Spec.Devices.Requests
		return slim, nil
	case *resourcev1.ResourceClaimTemplate:
		slim := &resourcev1.ResourceClaimTemplate{ObjectMeta: meta(o.ObjectMeta)}
		slim.Spec.Spec.Devices.Requests = o.Spec.Spec.Devices.Requests
		return slim, nil
	}
	return in, nil
}

func meta(o metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
}

// Of is what claim sources ask for. One that no cache has yet is read live.
func (c *Claims) Of(ctx context.Context, namespace string, refs []webhook.ClaimRef) (webhook.Claims, error) {
	return c.find(ctx, namespace, refs, c.read)
}

// Cached is [Claims.Of] without a look at the API server, for those who are told of changes.
func (c *Claims) Cached(ctx context.Context, namespace string, refs []webhook.ClaimRef) (webhook.Claims, error) {
	return c.find(ctx, namespace, refs, c.get)
}

type lookup func(ctx context.Context, namespace string, ref webhook.ClaimRef) (*resourcev1.ResourceClaimSpec, error)

func (c *Claims) find(ctx context.Context, namespace string, refs []webhook.ClaimRef, look lookup) (webhook.Claims, error) {
	if len(refs) == 0 || !c.Installed() {
		return nil, nil
	}
	classes, err := c.Classes(ctx)
	if err != nil || len(classes) == 0 {
		return nil, err
	}
	out := webhook.Claims{}
	for _, ref := range refs {
		if ref.Source == webhook.FromClass {
			if set, is := classes[ref.Name]; is {
				out[ref] = []webhook.GPUSet{set}
			}
			continue
		}
		spec, err := look(ctx, namespace, ref)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("get %s %s/%s: %w", ref.Source, namespace, ref.Name, err)
		}
		out[ref] = classes.GPUs(spec)
	}
	return out, nil
}

// Classes are the DeviceClasses that offer GPUs.
func (c *Claims) Classes(ctx context.Context) (webhook.Classes, error) {
	if !c.Installed() {
		return nil, nil
	}
	var found resourcev1.DeviceClassList
	if err := c.cached.List(ctx, &found, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list DeviceClasses: %w", err)
	}
	var out webhook.Classes
	for i := range found.Items {
		set, is := webhook.ClassGPUs(&found.Items[i])
		if !is {
			continue
		}
		if out == nil {
			out = webhook.Classes{}
		}
		out[found.Items[i].Name] = set
	}
	return out, nil
}

// get reads from the cache.
func (c *Claims) get(ctx context.Context, namespace string, ref webhook.ClaimRef) (*resourcev1.ResourceClaimSpec, error) {
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	if ref.Source == webhook.FromTemplate {
		var template resourcev1.ResourceClaimTemplate
		return &template.Spec.Spec, c.cached.Get(ctx, key, &template, client.UnsafeDisableDeepCopy)
	}
	var claim resourcev1.ResourceClaim
	return &claim.Spec, c.cached.Get(ctx, key, &claim, client.UnsafeDisableDeepCopy)
}

// read reads from the cache, and what is not there from the API server.
func (c *Claims) read(ctx context.Context, namespace string, ref webhook.ClaimRef) (*resourcev1.ResourceClaimSpec, error) {
	spec, err := c.get(ctx, namespace, ref)
	if !apierrors.IsNotFound(err) {
		return spec, err
	}
	if ref.Source == webhook.FromTemplate {
		template, err := c.live.ResourceClaimTemplates(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return &template.Spec.Spec, nil
	}
	claim, err := c.live.ResourceClaims(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return &claim.Spec, nil
}
