package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/tracing"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/devices"
	"forewarm.dev/webhook/handler"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/registration"
	"forewarm.dev/webhook/sources"
	"forewarm.dev/webhook/twin"
)

// process is the running webhook.
type process struct {
	manager     ctrl.Manager
	settings    config.Webhook
	kinds       []webhook.Kind
	target      registration.Target
	tracer      *tracing.Tracer
	log         logr.Logger
	certificate registration.Source
	writer      *registration.Writer
	pools       *sources.Pools
	claims      *devices.Claims
	ledgers     *ledger.Shelf
	lastGood    *sources.LastGood
	twin        *twin.Keeper
	reviews     http.Handler
	callers     *handler.Callers
	connections connections
	draining    atomic.Bool
}

// reading is how long a review may take to arrive.
const reading = 10 * time.Second

// run serves until ctx ends, and then drains:
//
//	ctx ends      readiness turns false; reviews are still answered, each on a connection
//	              that closes behind it, so that the API server moves to other replicas
//	drain over    connections that rest are left to the API server, which drops them in time
//	none is left  the server stops taking connections and finishes what it has
//	server down   the caches stop
func (p *process) run(ctx context.Context) error {
	listener, err := net.Listen("tcp", p.settings.Address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; set another webhook.address in the configuration file", p.settings.Address, err)
	}
	server := p.server()
	group, inner := errgroup.WithContext(context.WithoutCancel(ctx))
	managed, stop := context.WithCancel(inner)
	defer stop()
	group.Go(func() error { return p.manager.Start(managed) })
	group.Go(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on %s: %w", p.settings.Address, err)
		}
		return nil
	})
	group.Go(func() error {
		defer stop()
		p.drain(ctx, inner)
		finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(finish); err != nil {
			return server.Close()
		}
		return nil
	})
	return group.Wait()
}

// server is what reviews are asked for; it does not listen yet.
func (p *process) server() *http.Server {
	p.connections.most = maxConnections
	server := &http.Server{
		Handler:   http.HandlerFunc(p.handle),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate.GetCertificate},
		ConnState: p.connections.track, ConnContext: hold,
		// A new connection may rest too: the API server makes more than it needs at once. One whose header comes slowly
		// rests as well, and makes room for others where there are too many.
		ReadHeaderTimeout: keepAlive, IdleTimeout: keepAlive, WriteTimeout: reading,
	}
	if p.callers != nil {
		server.Handler, server.TLSConfig = p.callers.Admit(server.Handler), p.callers.Secure(server.TLSConfig)
	}
	return server
}

// drain returns when it is time to stop serving: some time after ctx, when nobody is connected
// any more, or at once when the process fails.
func (p *process) drain(ctx, failed context.Context) {
	select {
	case <-ctx.Done():
	case <-failed.Done():
		return
	}
	p.draining.Store(true)
	p.log.Info("Draining", "seconds", p.settings.DrainSeconds)
	select {
	case <-time.After(time.Duration(p.settings.DrainSeconds) * time.Second):
	case <-failed.Done():
	}
	if p.settings.DrainSeconds > 0 {
		last, cancel := context.WithTimeout(failed, letGo)
		defer cancel()
		p.connections.wait(last)
	}
}

func (p *process) handle(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(reading)) // recorders of tests have none
	if p.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	if p.callers != nil {
		p.connections.knows(r)
	}
	p.reviews.ServeHTTP(w, r)
}

// ready is the readiness check.
func (p *process) ready(r *http.Request) error {
	if p.draining.Load() {
		return errors.New("draining")
	}
	if err := p.canServe(r.Context()); err != nil {
		return err
	}
	return p.registered()
}

// registered fails until the API server trusts what is served.
func (p *process) registered() error {
	served, err := p.certificate.GetCertificate(nil)
	if err != nil {
		return err
	}
	chain, err := registration.Chain(served)
	if err != nil {
		return err
	}
	return p.writer.Registered(chain)
}

// mayRegister fails where the configurations are another replica's to write: before this one
// can serve, and once it leaves, perhaps for a newer version that writes others.
func (p *process) mayRegister(ctx context.Context) error {
	if p.draining.Load() {
		return errors.New("draining")
	}
	return p.canServe(ctx)
}

// canServe fails until a review would be answered.
func (p *process) canServe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if !p.manager.GetCache().WaitForCacheSync(ctx) {
		return errors.New("informer caches have not synced yet")
	}
	for _, kinds := range []interface{ Ready() error }{p.pools, p.claims, p.ledgers} {
		if err := kinds.Ready(); err != nil {
			return err
		}
	}
	_, err := p.certificate.GetCertificate(nil)
	return err
}
