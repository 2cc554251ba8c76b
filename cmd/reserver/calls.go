package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/capacity/intake"
	"forewarm.dev/internal/config"
)

// callTimeout bounds a call from its first byte to the last of its answer.
const callTimeout = 15 * time.Second

// calls answers signed calls, on every replica.
type calls struct {
	address string
	handler http.Handler
	log     logr.Logger
}

// NeedLeaderElection says that every replica answers.
func (c *calls) NeedLeaderElection() bool { return false }

// Start answers until ctx ends, and then finishes those under way.
func (c *calls) Start(ctx context.Context) error {
	listener, err := net.Listen("tcp", c.address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; free the port, or set another reserver.calls.address in the configuration file", c.address, err)
	}
	web := &http.Server{Handler: c.handler, ReadTimeout: callTimeout, WriteTimeout: callTimeout, MaxHeaderBytes: 16 << 10}
	stopped := make(chan error, 1)
	go func() { stopped <- web.Serve(listener) }()
	c.log.Info("Taking declared demand", "address", listener.Addr().String())
	select {
	case err := <-stopped:
		return fmt.Errorf("answer calls: %w", err)
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if err := web.Shutdown(finish); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// addCalls has signed calls answered, where the configuration says so.
func addCalls(mgr ctrl.Manager, settings *config.Calls, log logr.Logger) error {
	if settings == nil {
		return nil
	}
	return mgr.Add(&calls{address: settings.Address, log: log.WithName("calls"), handler: intake.New(intake.Options{
		Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), SecretFile: settings.SecretFile,
		Registerer: ctrlmetrics.Registry, Clock: clock.RealClock{}, Log: log.WithName("calls"),
	})})
}
