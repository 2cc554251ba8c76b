package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/console/live"
)

const (
	// reading bounds a request, writing its answer: looking at all ceilings takes half of that at most.
	// Pages that listen have bounds of their own.
	reading, writing = 15 * time.Second, time.Minute
	// keepAlive is how long a connection may rest.
	keepAlive = 2 * time.Minute
	// finishing is how long requests under way are waited for at the end.
	finishing = 10 * time.Second
	// largestHeader bounds the headers of a request.
	largestHeader = 32 << 10
)

// server serves browsers while the manager runs.
type server struct {
	settings  config.Console
	handler   http.Handler
	hub       *live.Hub
	informers cache.Informers
	log       logr.Logger
	serving   atomic.Bool
}

// NeedLeaderElection says that every replica serves.
func (s *server) NeedLeaderElection() bool { return false }

func (s *server) ready(*http.Request) error {
	if !s.serving.Load() {
		return errors.New("WarmPools, CapacityPlans and Decisions have not all been seen yet, or the process ends")
	}
	return nil
}

// Start serves until ctx ends, and then finishes what is under way.
func (s *server) Start(ctx context.Context) error {
	secured, err := secure(ctx, s.settings.Serving)
	if err != nil {
		return err
	}
	if err := follow(ctx, s.informers, s.hub); err != nil {
		return err
	}
	go s.hub.Run(ctx)
	listener, err := net.Listen("tcp", s.settings.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; free the port, or set another console.address in the configuration file", s.settings.Address, err)
	}
	web := &http.Server{
		Handler: s.handler, TLSConfig: secured, ReadTimeout: reading, WriteTimeout: writing, IdleTimeout: keepAlive, MaxHeaderBytes: largestHeader,
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.log), slog.LevelDebug), // browsers that do not trust a certificate, most of all
	}
	stopped := make(chan error, 1)
	go func() { stopped <- web.ServeTLS(listener, "", "") }()
	s.serving.Store(true)
	s.log.Info("Serving browsers", "address", listener.Addr().String(), "ownCertificate", s.settings.Serving == nil)
	select {
	case err := <-stopped:
		return fmt.Errorf("serve browsers: %w", err)
	case <-ctx.Done():
	}
	s.serving.Store(false)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing)
	defer cancel()
	if err := web.Shutdown(finish); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
