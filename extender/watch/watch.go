// Package watch tells an index of the extender what the API server holds: as it changes, or once.
package watch

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
)

// Watch keeps an index up to date from informers. The function it returns tells whether
// all that was there at the start has been seen.
func Watch(ctx context.Context, x *handler.Index, informers cache.Informers) (synced func() bool, err error) {
	var seen []toolscache.ResourceEventHandlerRegistration
	for _, add := range []func() (toolscache.ResourceEventHandlerRegistration, error){
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return one(ctx, informers, &corev1.Namespace{}, x.SetNamespace, x.DropNamespace)
		},
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return one(ctx, informers, &v1alpha1.WarmPool{}, x.SetPool, x.DropPool)
		},
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return one(ctx, informers, &corev1.Node{}, x.SetNode, x.DropNode)
		},
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return one(ctx, informers, &corev1.Pod{}, x.SetPod, x.DropPod)
		},
	} {
		registration, err := add()
		if err != nil {
			return nil, err
		}
		seen = append(seen, registration)
	}
	return func() bool {
		for _, registration := range seen {
			if !registration.HasSynced() {
				return false
			}
		}
		return true
	}, nil
}

// DeviceKinds are the kinds of dynamic resource allocation, which a cluster has from Kubernetes
// 1.34 on.
func DeviceKinds() []client.Object {
	return []client.Object{&resourcev1.DeviceClass{}, &resourcev1.ResourceSlice{}, &resourcev1.ResourceClaimTemplate{}, &resourcev1.ResourceClaim{}}
}

// Devices feeds the events of one of the DeviceKinds to an index.
func Devices(x *handler.Index, kind client.Object, informer cache.Informer) error {
	var err error
	switch kind.(type) {
	case *resourcev1.DeviceClass:
		_, err = feed(informer, x.SetDeviceClass, x.DropDeviceClass)
	case *resourcev1.ResourceSlice:
		_, err = feed(informer, x.SetSlice, x.DropSlice)
	case *resourcev1.ResourceClaimTemplate:
		_, err = feed(informer, x.SetTemplate, x.DropTemplate)
	case *resourcev1.ResourceClaim:
		_, err = feed(informer, x.SetClaim, x.DropClaim)
	default:
		err = fmt.Errorf("%T is not a kind of dynamic resource allocation", kind)
	}
	return err
}

// one feeds the events of one kind to set and drop.
func one[T client.Object](ctx context.Context, informers cache.Informers, kind T, set, drop func(T)) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := informers.GetInformer(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	return feed(informer, set, drop)
}

func feed[T client.Object](informer cache.Informer, set, drop func(T)) (toolscache.ResourceEventHandlerRegistration, error) {
	return informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { set(object.(T)) },
		UpdateFunc: func(_, object any) { set(object.(T)) },
		DeleteFunc: func(object any) {
			if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			if typed, ok := object.(T); ok {
				drop(typed)
			}
		},
	})
}
