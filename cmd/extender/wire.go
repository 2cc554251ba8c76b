package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/ahead"
	"forewarm.dev/extender/audit"
	"forewarm.dev/extender/freshness"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
	"forewarm.dev/extender/requeue"
	"forewarm.dev/extender/watch"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
	"forewarm.dev/internal/tracing"
)

// wire makes the manager that watches the cluster and serves the scheduler.
func wire(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Config, tracer *tracing.Tracer) (ctrl.Manager, error) {
	own := settings.Extender
	if err := checkAddress(own); err != nil {
		return nil, err
	}
	if err := observe.CheckFree("extender.address", own.Address); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	watches := &freshness.Watches{}
	m, err := observe.Manager(ctx, observe.ManagerOptions{
		Scheme: scheme, Kubeconfig: flags.Kubeconfig, Process: own.Process,
		Customize: func(o *ctrl.Options) { o.Cache = caches(own.SchedulerLease, watches) },
	})
	if err != nil {
		return nil, err
	}
	index := handler.NewIndex(settings.Reserver.PlaceholderNamespace)
	index.Leaderless(own.SchedulerLease != "")
	index.Doubt(func() bool { return watches.Behind() != "" })
	counted := metrics.New(index, ctrlmetrics.Registry)
	freshness.Register(watches, ctrlmetrics.Registry)
	devices := observe.NewOptional(observe.OptionalOptions{
		Informers: m.GetCache(), Kinds: watch.DeviceKinds(), Watched: func(kind client.Object, from cache.Informer) error { return watch.Devices(index, kind, from) }, Log: log,
		Without: "The cluster has no resource.k8s.io/v1: GPUs that pods claim are not counted",
	})
	s := &server{settings: own, index: index, metrics: counted, informers: m.GetCache(), devices: devices, watches: watches, tracer: tracer, log: log}
	due := make(chan struct{}, 1)
	for _, part := range []manager.Runnable{
		devices, s,
		&audit.Auditor{Index: index, Reader: m.GetAPIReader(), Synced: s.synced.Load, Metrics: counted, Log: log, Now: due},
		&requeue.Requeuer{Index: index, Client: m.GetClient(), Metrics: counted, Log: log},
		&ahead.Clearer{Index: index, Client: m.GetClient(), Metrics: counted, Log: log, On: own.ClearAhead && onLoopback(own.Address)},
		&follower{lease: own.SchedulerLease, informers: m.GetCache(), epochs: &watch.Epochs{Index: index, Metrics: counted, Audit: due}},
	} {
		if err := m.Add(part); err != nil {
			return nil, err
		}
	}
	if err := m.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return m, m.AddReadyzCheck("serving", s.ready)
}

// caches hold what is watched; of Leases only the scheduler's.
func caches(lease string, watches *freshness.Watches) cache.Options {
	o := cache.Options{DefaultTransform: watch.Slim, NewInformer: watches.NewInformer}
	if namespace, name, found := strings.Cut(lease, "/"); found {
		o.ByObject = map[client.Object]cache.ByObject{&coordinationv1.Lease{}: {
			Namespaces: map[string]cache.Config{namespace: {}}, Field: fields.OneTermEqualSelector("metadata.name", name),
		}}
	}
	return o
}

// follower watches the scheduler's Lease.
type follower struct {
	lease     string
	informers cache.Informers
	epochs    *watch.Epochs
}

// NeedLeaderElection says that every replica follows.
func (f *follower) NeedLeaderElection() bool { return false }

// Start begins to watch; it ends at once where there is no Lease to follow.
func (f *follower) Start(ctx context.Context) error {
	if f.lease == "" {
		return nil
	}
	informer, err := f.informers.GetInformer(ctx, &coordinationv1.Lease{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch the scheduler's Lease: %w", err)
	}
	return f.epochs.Follow(informer)
}
