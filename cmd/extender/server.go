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
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"forewarm.dev/extender/freshness"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
	"forewarm.dev/extender/watch"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/tracing"
)

const (
	// reading and writing bound one call's bodies.
	reading = 5 * time.Second
	// keepAlive is longer than the scheduler keeps a connection that rests (90 s): a server that
	// lets go first may do so at the moment at which a call is written.
	keepAlive = 2 * time.Minute
)

// server serves the scheduler's calls while the manager runs.
type server struct {
	settings  config.Extender
	index     *handler.Index
	metrics   *metrics.Metrics
	informers cache.Informers
	devices   interface{ Ready() error }
	watches   *freshness.Watches
	tracer    *tracing.Tracer
	log       logr.Logger
	synced    atomic.Bool
	draining  atomic.Bool
}

// NeedLeaderElection says that every replica serves.
func (s *server) NeedLeaderElection() bool { return false }

func (s *server) ready(*http.Request) error {
	if s.draining.Load() {
		return errors.New("draining")
	}
	if !s.synced.Load() {
		return errors.New("nodes, pods and WarmPools have not all been seen yet")
	}
	if kind := s.watches.Behind(); kind != "" {
		return fmt.Errorf("the API server has said nothing of any %s for %s: is it there, and does the watch get through?", kind, s.watches.Ages()[kind].Truncate(time.Second))
	}
	return nil
}

// Start serves until ctx ends, and then drains: readiness turns false, calls are still answered,
// each on a connection that closes behind it, and at last those under way are finished.
func (s *server) Start(ctx context.Context) error {
	synced, err := watch.Watch(ctx, s.index, s.informers)
	if err != nil {
		return err
	}
	secured, err := secure(ctx, s.settings)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.settings.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; free the port, or set another extender.address in the configuration file", s.settings.Address, err)
	}
	go s.keep(ctx, synced)
	web := &http.Server{Handler: s.handler(), TLSConfig: secured, ReadTimeout: reading, WriteTimeout: reading, IdleTimeout: keepAlive}
	stopped := make(chan error, 1)
	go func() {
		if secured == nil {
			stopped <- web.Serve(listener)
		} else {
			stopped <- web.ServeTLS(listener, "", "")
		}
	}()
	s.log.Info("Serving the scheduler", "address", listener.Addr().String(), "tls", secured != nil)
	select {
	case err := <-stopped:
		return fmt.Errorf("serve the scheduler: %w", err)
	case <-ctx.Done():
		return s.drain(web)
	}
}

func (s *server) handler() http.Handler {
	calls := s.tracer.Serve(handler.New(handler.Options{
		Index: s.index, Deadline: s.settings.Deadline.Duration, Synced: s.synced.Load,
		FailClosed: s.settings.Undecided == config.UndecidedError, Metrics: s.metrics, Log: s.log,
	}))
	return admit(bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		calls.ServeHTTP(w, r)
	}), inFlight), s.settings.ClientCA)
}

func (s *server) drain(web *http.Server) error {
	s.draining.Store(true)
	s.log.Info("Draining", "seconds", s.settings.DrainSeconds)
	time.Sleep(time.Duration(s.settings.DrainSeconds) * time.Second)
	finish, cancel := context.WithTimeout(context.Background(), reading)
	defer cancel()
	return web.Shutdown(finish)
}

// keep makes the process ready as soon as the index is complete, called or not, and then forgets
// holds whose time is over.
func (s *server) keep(ctx context.Context, synced func() bool) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !synced() || s.devices.Ready() != nil {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	s.synced.Store(true)
	s.index.Upkeep(ctx.Done())
}
