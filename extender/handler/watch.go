package handler

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// Watch keeps the index up to date from informers. The function it returns tells whether
// all that was there at the start has been seen.
func (x *Index) Watch(ctx context.Context, informers cache.Informers) (synced func() bool, err error) {
	var seen []toolscache.ResourceEventHandlerRegistration
	for _, add := range []func() (toolscache.ResourceEventHandlerRegistration, error){
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, &corev1.Namespace{}, x.SetNamespace, x.DropNamespace)
		},
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, &v1alpha1.WarmPool{}, x.SetPool, x.DropPool)
		},
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, &corev1.Node{}, x.SetNode, x.DropNode)
		},
		func() (toolscache.ResourceEventHandlerRegistration, error) {
			return watch(ctx, informers, &corev1.Pod{}, x.SetPod, x.DropPod)
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

// watch feeds the events of one kind to set and drop.
func watch[T client.Object](ctx context.Context, informers cache.Informers, kind T, set, drop func(T)) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := informers.GetInformer(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
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
