package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"forewarm.dev/webhook/limits"
	"forewarm.dev/webhook/registration"
	"forewarm.dev/webhook/sources"
)

// keepLimits has node autoscalers hold max-nodes by themselves as well.
func (p *process) keepLimits(ctx context.Context, clients kubernetes.Interface, live dynamic.Interface, leader *leader) error {
	keeper := limits.NewKeeper(limits.KeeperOptions{
		Cached: p.manager.GetCache(), Live: live, Disarmed: p.disarmed(clients), Leading: leader.leads,
		Events: p.manager.GetEventRecorder("forewarm-webhook"), Log: p.log.WithName("limits"),
	})
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(sources.NamespaceKind)
	informer, err := p.manager.GetCache().GetInformer(ctx, namespace)
	if err != nil {
		return fmt.Errorf("watch Namespaces: %w", err)
	}
	if _, err := informer.AddEventHandler(keeper.NamespaceHandler()); err != nil {
		return fmt.Errorf("watch Namespaces: %w", err)
	}
	return add(p.manager, keeper, keeper.Pools(p.manager.GetCache()))
}

// disarmed says whether Forewarm was taken out of admission.
func (p *process) disarmed(clients kubernetes.Interface) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		return registration.Disarmed(ctx, clients, p.settings.Namespace)
	}
}
