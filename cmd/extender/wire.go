package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
)

// wire makes the manager that watches the cluster and serves the scheduler.
func wire(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Config) (ctrl.Manager, error) {
	if err := checkLoopback(settings.Extender.Address); err != nil {
		return nil, err
	}
	if err := observe.CheckFree("extender.address", settings.Extender.Address); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	manager, err := observe.Manager(ctx, observe.ManagerOptions{
		Scheme: scheme, Kubeconfig: flags.Kubeconfig, Process: settings.Extender.Process,
		Customize: func(o *ctrl.Options) {
			o.Cache = cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
		},
	})
	if err != nil {
		return nil, err
	}
	s := &server{settings: settings, informers: manager.GetCache(), log: log}
	if err := manager.Add(s); err != nil {
		return nil, err
	}
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return manager, manager.AddReadyzCheck("serving", s.ready)
}

// checkLoopback refuses to serve plain HTTP to others.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("extender.address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("extender.address %q is not on loopback: calls are plain HTTP, so write 127.0.0.1:port and run the extender beside the scheduler", address)
	}
	return nil
}

// server serves the scheduler's calls while the manager runs.
type server struct {
	settings  config.Config
	informers cache.Informers
	log       logr.Logger
	synced    atomic.Bool
}

// NeedLeaderElection says that every replica serves.
func (s *server) NeedLeaderElection() bool { return false }

func (s *server) ready(*http.Request) error {
	if !s.synced.Load() {
		return errors.New("nodes, pods and WarmPools have not all been seen yet")
	}
	return nil
}

// Start serves until ctx ends, then finishes the calls under way.
func (s *server) Start(ctx context.Context) error {
	index := handler.NewIndex(s.settings.Reserver.PlaceholderNamespace)
	synced, err := index.Watch(ctx, s.informers)
	if err != nil {
		return err
	}
	calls := handler.New(handler.Options{
		Index: index, Deadline: s.settings.Extender.Deadline.Duration,
		Synced:     s.synced.Load,
		Registerer: ctrlmetrics.Registry, Log: s.log,
	})
	listener, err := net.Listen("tcp", s.settings.Extender.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; free the port, or set another extender.address in the configuration file", s.settings.Extender.Address, err)
	}
	go s.awaitSync(ctx, synced)
	web := &http.Server{Handler: calls, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	stopped := make(chan error, 1)
	go func() { stopped <- web.Serve(listener) }()
	s.log.Info("Serving the scheduler", "address", listener.Addr().String())
	select {
	case err := <-stopped:
		return fmt.Errorf("serve the scheduler: %w", err)
	case <-ctx.Done():
		drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return web.Shutdown(drain)
	}
}

// awaitSync makes the process ready as soon as the index is complete, called or not.
func (s *server) awaitSync(ctx context.Context, synced func() bool) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !synced() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	s.synced.Store(true)
}
