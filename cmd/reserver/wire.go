package main

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/reserver"
	"forewarm.dev/capacity/showback"
	"forewarm.dev/capacity/waiting/announcer"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
)

// wire makes the manager that runs the reserver on the leader.
func wire(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Reserver) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	manager, err := observe.Manager(ctx, observe.ManagerOptions{
		Scheme: scheme, Kubeconfig: flags.Kubeconfig, Process: settings.Process,
		Customize: func(o *ctrl.Options) {
			o.LeaderElection = true
			o.LeaderElectionID = "forewarm-reserver"
			o.LeaderElectionNamespace = settings.Namespace
			o.LeaderElectionReleaseOnCancel = true
			o.Client = client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&v1alpha1.DemandHistory{}, &v1alpha1.ForecastModel{}}}}
			o.Cache = cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
		},
	})
	if err != nil {
		return nil, err
	}
	if err := ensureNamespace(ctx, manager, settings.Namespace); err != nil {
		return nil, err
	}
	store, err := historyStore(settings.History, manager.GetClient())
	if err != nil {
		return nil, err
	}
	kept, err := decisionLog(settings.Decisions, manager)
	if err != nil {
		return nil, err
	}
	loop := reserver.New(reserver.Options{
		Client: manager.GetClient(), Live: manager.GetAPIReader(), Informers: manager.GetCache(),
		Forecaster: forecaster.New(forecaster.Options{
			Store:      store,
			Records:    forecaster.NewModels(manager.GetClient()),
			Model:      forecast.Combined{},
			Events:     manager.GetEventRecorder("forewarm-reserver"),
			Registerer: ctrlmetrics.Registry,
		}),
		Decisions:  kept,
		Plans:      approval.New(manager.GetAPIReader(), manager.GetClient()),
		Chooser:    chooser.New(false),
		Announcer:  announcer.New(manager.GetClient(), manager.GetEventRecorder("forewarm-reserver")),
		Events:     manager.GetEventRecorder("forewarm-reserver"),
		Registerer: ctrlmetrics.Registry, Clock: clock.RealClock{}, Log: log,
		PlaceholderNamespace: settings.PlaceholderNamespace, PlaceholderImage: settings.PlaceholderImage,
		Priority: settings.Priority, MaxChangesPerPlan: settings.MaxChangesPerPlan,
	})
	if err := manager.Add(loop); err != nil {
		return nil, err
	}
	if err := manager.Add(showbackOf(manager, settings, log)); err != nil {
		return nil, err
	}
	return manager, checks(manager)
}

// showbackOf tells what the loop's capacity costs, and whom it spares a wait.
func showbackOf(manager ctrl.Manager, settings config.Reserver, log logr.Logger) *showback.Showback {
	return showback.New(showback.Options{
		Client: manager.GetClient(), Informers: manager.GetCache(), PlaceholderNamespace: settings.PlaceholderNamespace,
		OwnerLabel: settings.Showback.OwnerLabel, MaxOwners: settings.Showback.MaxOwners,
		Registerer: ctrlmetrics.Registry, Clock: clock.RealClock{}, Log: log.WithName("showback"),
	})
}

// ensureNamespace makes the namespace of the leader's Lease where an installer has not.
func ensureNamespace(ctx context.Context, manager ctrl.Manager, name string) error {
	namespace := &corev1.Namespace{}
	namespace.Name = name
	err := manager.GetAPIReader().Get(ctx, client.ObjectKey{Name: name}, namespace)
	if client.IgnoreNotFound(err) == nil && err != nil {
		err = manager.GetClient().Create(ctx, namespace)
	}
	if err != nil {
		return fmt.Errorf("namespace %s (reserver.namespace): %w", name, err)
	}
	return nil
}

func checks(manager ctrl.Manager) error {
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return manager.AddReadyzCheck("caches", observe.CachesSynced(manager.GetCache()))
}
