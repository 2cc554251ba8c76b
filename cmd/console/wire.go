package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/console"
	"forewarm.dev/internal/console/gate"
	"forewarm.dev/internal/console/live"
	"forewarm.dev/internal/observe"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
	"forewarm.dev/webhook/sources"
)

const (
	// userTimeout bounds one request in the name of somebody who looks.
	userTimeout = 30 * time.Second
	// pagesPerSession is how many pages of one session may renew themselves, in the mean.
	pagesPerSession = 4
)

// watched are the kinds whose changes pages are told of.
var watched = []struct {
	kind  client.Object
	topic string
}{
	{&v1alpha1.WarmPool{}, live.Pools}, {&v1alpha1.CapacityPlan{}, live.Plans}, {&v1alpha1.Decision{}, live.Decisions},
}

// wire makes the manager that serves the console. Every replica does; sessions are of one.
func wire(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Config) (ctrl.Manager, error) {
	own := settings.Console
	if err := observe.CheckFree("console.address", own.Address); err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	mgr, err := observe.Manager(ctx, observe.ManagerOptions{
		Scheme: scheme, Kubeconfig: flags.Kubeconfig, Process: own.Process,
		Customize: func(o *ctrl.Options) {
			o.Client = client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&v1alpha1.DemandHistory{}}}}
			o.Cache = cache.Options{
				DefaultTransform: cache.TransformStripManagedFields(),
				ByObject:         map[client.Object]cache.ByObject{&v1alpha1.Decision{}: {Transform: withoutInput}},
			}
		},
	})
	if err != nil {
		return nil, err
	}
	hub := live.New(pagesPerSession*own.MaxSessions, clock.RealClock{}, ctrlmetrics.Registry)
	shows, err := consoleFor(ctx, mgr, settings, hub, log)
	if err != nil {
		return nil, err
	}
	s := &server{settings: own, handler: shows, hub: hub, informers: mgr.GetCache(), log: log}
	if err := mgr.Add(s); err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("serving", s.ready)
}

// consoleFor makes what answers browsers.
func consoleFor(ctx context.Context, mgr ctrl.Manager, settings config.Config, hub *live.Hub, log logr.Logger) (*console.Console, error) {
	authenticates, authorizes, err := gate.Delegate(mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("have the API server sign people in: %w", err)
	}
	table, err := sources.Table(settings.Webhook.Kinds)
	if err != nil {
		return nil, err
	}
	own := settings.Console
	return console.New(ctx, console.Options{
		Gate: gate.New(gate.Options{
			Authenticator: authenticates, Authorizer: authorizes,
			Idle: own.IdleTimeout.Duration, Lifetime: own.SessionLifetime.Duration, Most: own.MaxSessions,
			Registerer: ctrlmetrics.Registry, Clock: clock.RealClock{},
		}),
		Hub: hub, Objects: mgr.GetClient(), Demand: history.NewStore(mgr.GetClient()),
		Connect: connect(mgr, table, settings.Webhook.Namespace), Kinds: table,
		PlaceholderNamespace: settings.Reserver.PlaceholderNamespace,
		Registerer:           ctrlmetrics.Registry, Clock: clock.RealClock{}, Log: log,
	})
}

// connect reaches the API server in the name of the owner of a token, and with nothing of our own.
func connect(mgr ctrl.Manager, table []webhook.Kind, namespace string) func(gate.Token) (console.Own, error) {
	return func(token gate.Token) (console.Own, error) {
		theirs := rest.AnonymousClientConfig(mgr.GetConfig())
		theirs.BearerToken, theirs.QPS, theirs.Timeout, theirs.UserAgent = string(token), -1, userTimeout, "forewarm-console"
		c, err := client.New(theirs, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
		if err != nil {
			return console.Own{}, err
		}
		explainer, err := audit.NewExplainer(theirs, table, namespace)
		return console.Own{Client: c, Explainer: explainer}, err
	}
}

// withoutInput drops of a Decision what it was made of, which is most of it and not shown.
func withoutInput(object any) (any, error) {
	if decision, ok := object.(*v1alpha1.Decision); ok {
		decision.ManagedFields, decision.Spec.Input, decision.Spec.Result = nil, nil, nil
	}
	return object, nil
}

// follow has pages told of changes, and answers when everything has been seen once.
func follow(ctx context.Context, informers cache.Informers, hub *live.Hub) error {
	for _, w := range watched {
		informer, err := informers.GetInformer(ctx, w.kind)
		if err != nil {
			return fmt.Errorf("watch %T: %w", w.kind, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { hub.Publish(w.topic) },
			UpdateFunc: func(any, any) { hub.Publish(w.topic) },
			DeleteFunc: func(any) { hub.Publish(w.topic) },
		}); err != nil {
			return err
		}
	}
	return nil
}
