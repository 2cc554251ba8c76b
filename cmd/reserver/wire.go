package main

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/capacity/drainer"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/reserver"
	"forewarm.dev/capacity/showback"
	"forewarm.dev/capacity/topology"
	"forewarm.dev/capacity/waiting/announcer"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
	"forewarm.dev/internal/tracing"
)

// wire makes the manager that runs the reserver on the leader.
func wire(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Reserver, tracer *tracing.Tracer) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	lease, err := leaseOf(flags.Kubeconfig, settings.Namespace)
	if err != nil {
		return nil, err
	}
	mgr, err := observe.Manager(ctx, observe.ManagerOptions{
		Scheme: scheme, Kubeconfig: flags.Kubeconfig, Process: settings.Process,
		Customize: func(o *ctrl.Options) {
			o.LeaderElection, o.LeaderElectionResourceLockInterface = true, lease
			o.LeaseDuration, o.RenewDeadline, o.RetryPeriod = new(observe.LeaseDuration), new(observe.RenewDeadline), new(observe.RetryPeriod)
			o.LeaderElectionID = "forewarm-reserver" // names it in metrics
			o.LeaderElectionReleaseOnCancel = true
			o.Client = client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&v1alpha1.DemandHistory{}, &v1alpha1.ForecastModel{}}}}
			o.Cache = cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
		},
	})
	if err != nil {
		return nil, err
	}
	if err := ensureNamespace(ctx, mgr, settings.Namespace); err != nil {
		return nil, err
	}
	kept, err := keepsOf(mgr, log, settings)
	if err != nil {
		return nil, err
	}
	kept.tracer = tracer
	for _, runs := range []manager.Runnable{lease, kept.prices, kept.loads, loop(mgr, log, settings, kept), drain(mgr, log, settings), showbackOf(mgr, settings, log)} {
		if err := mgr.Add(runs); err != nil {
			return nil, err
		}
	}
	if err := addCalls(mgr, settings.Calls, log); err != nil {
		return nil, err
	}
	return mgr, checks(mgr)
}

// leaseOf is the Lease of the leader, asked for with a time limit so that no single request that hangs loses it.
func leaseOf(kubeconfig, namespace string) (*observe.Lease, error) {
	restConfig, err := observe.RESTConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	restConfig.Timeout = observe.RenewDeadline / 2
	clients, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, err
	}
	return observe.NewLease(clients, namespace, "forewarm-reserver")
}

// keeps is what the reserver reads and writes beside the API, and what it traces with.
type keeps struct {
	demand    forecaster.Store
	decisions *decisions.Log
	prices    *price.Prices
	tracer    *tracing.Tracer
	loads     *topology.Watcher // Kueue's Workloads
}

func keepsOf(mgr ctrl.Manager, log logr.Logger, settings config.Reserver) (kept keeps, err error) {
	if kept.demand, err = historyStore(settings.History, mgr.GetClient()); err != nil {
		return kept, err
	}
	if kept.decisions, err = decisionLog(settings.Decisions, mgr); err != nil {
		return kept, err
	}
	if kept.prices, err = pricesOf(settings.Prices, log); err != nil {
		return kept, err
	}
	anyKind, err := dynamic.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	kept.loads = topology.NewWatcher(topology.Options{Client: anyKind, Mapper: mgr.GetRESTMapper(), Clock: clock.RealClock{}, Log: log})
	return kept, err
}

// loop is the reserver.
func loop(mgr ctrl.Manager, log logr.Logger, settings config.Reserver, kept keeps) *reserver.Reserver {
	return reserver.New(reserver.Options{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Informers: mgr.GetCache(),
		Forecaster: forecaster.New(forecaster.Options{
			Store:      kept.demand,
			Records:    forecaster.NewModels(mgr.GetClient()),
			Model:      forecast.Combined{},
			Events:     mgr.GetEventRecorder("forewarm-reserver"),
			Registerer: ctrlmetrics.Registry,
		}),
		Decisions:  kept.decisions,
		Prices:     kept.prices,
		Loads:      kept.loads,
		Tracer:     kept.tracer,
		Plans:      approval.New(mgr.GetAPIReader(), mgr.GetClient()),
		Chooser:    chooser.New(false),
		Announcer:  announcer.New(mgr.GetClient(), mgr.GetEventRecorder("forewarm-reserver")),
		Events:     mgr.GetEventRecorder("forewarm-reserver"),
		Registerer: ctrlmetrics.Registry, Clock: clock.RealClock{}, Log: log,
		PlaceholderNamespace: settings.PlaceholderNamespace, PlaceholderImage: settings.PlaceholderImage,
		Priority: settings.Priority, MaxChangesPerPlan: settings.MaxChangesPerPlan,
	})
}

// drain empties nodes that go, where a WarmPool asks for it.
func drain(mgr ctrl.Manager, log logr.Logger, settings config.Reserver) *drainer.Drainer {
	return drainer.New(drainer.Options{
		Client: mgr.GetClient(), Events: mgr.GetEventRecorder("forewarm-reserver"), Registerer: ctrlmetrics.Registry,
		Clock: clock.RealClock{}, Log: log, PlaceholderNamespace: settings.PlaceholderNamespace,
	})
}

// showbackOf tells what the loop's capacity costs, and whom it spares a wait.
func showbackOf(mgr ctrl.Manager, settings config.Reserver, log logr.Logger) *showback.Showback {
	return showback.New(showback.Options{
		Client: mgr.GetClient(), Informers: mgr.GetCache(), PlaceholderNamespace: settings.PlaceholderNamespace,
		OwnerLabel: settings.Showback.OwnerLabel, MaxOwners: settings.Showback.MaxOwners,
		Registerer: ctrlmetrics.Registry, Clock: clock.RealClock{}, Log: log.WithName("showback"),
	})
}

// ensureNamespace makes the namespace of the leader's Lease where an installer has not.
func ensureNamespace(ctx context.Context, mgr ctrl.Manager, name string) error {
	namespace := &corev1.Namespace{}
	namespace.Name = name
	err := mgr.GetAPIReader().Get(ctx, client.ObjectKey{Name: name}, namespace)
	if client.IgnoreNotFound(err) == nil && err != nil {
		err = mgr.GetClient().Create(ctx, namespace)
	}
	if err != nil {
		return fmt.Errorf("namespace %s (reserver.namespace): %w", name, err)
	}
	return nil
}

func checks(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("caches", observe.CachesSynced(mgr.GetCache()))
}
