package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
	"forewarm.dev/internal/tracing"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/devices"
	"forewarm.dev/webhook/handler"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/registration"
	"forewarm.dev/webhook/sources"
	"forewarm.dev/webhook/twin"
)

// wire connects to the API server and makes the process, which then only has to run.
func wire(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Webhook, tracer *tracing.Tracer) (*process, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, admissionregistrationv1.AddToScheme, autoscalingv2.AddToScheme, resourcev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	if err := observe.CheckFree("address", settings.Address); err != nil {
		return nil, err
	}
	mgr, err := observe.Manager(ctx, observe.ManagerOptions{
		Scheme: scheme, Kubeconfig: flags.Kubeconfig, Process: settings.Process,
		Customize: func(o *ctrl.Options) { o.Cache = cache.Options{DefaultTransform: slim} },
	})
	if err != nil {
		return nil, err
	}
	clients, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	if err := ensureNamespace(ctx, clients, settings.Namespace); err != nil {
		return nil, err
	}
	kinds, err := sources.Table(settings.Kinds)
	if err != nil {
		return nil, err
	}
	p := &process{manager: mgr, settings: settings, kinds: kinds, lastGood: sources.NewLastGood(), tracer: tracer, log: log}
	return p, p.assemble(ctx, scheme, clients)
}

// assemble makes the parts in the order in which they need each other.
func (p *process) assemble(ctx context.Context, scheme *runtime.Scheme, clients kubernetes.Interface) error {
	writer, err := client.New(p.manager.GetConfig(), client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if err := p.register(clients); err != nil {
		return err
	}
	if err := p.shelve(); err != nil {
		return err
	}
	if err := p.serve(ctx, clients, writer); err != nil {
		return err
	}
	if err := p.keepTwin(writer, clients); err != nil {
		return err
	}
	return p.checks()
}

// keepTwin compiles ceilings to the API server's own policies.
func (p *process) keepTwin(writer client.Client, clients kubernetes.Interface) error {
	kinds := map[schema.GroupVersionKind]string{}
	for _, gvk := range sources.ParentKinds {
		kinds[gvk] = strings.ToLower(gvk.Kind) + "s"
	}
	kinds[corev1.SchemeGroupVersion.WithKind("ReplicationController")] = "replicationcontrollers"
	p.twin = &twin.Keeper{
		Cached: p.manager.GetCache(), Client: writer, Kinds: kinds, Table: p.kinds, Autoscalers: p.settings.Autoscalers, Excluded: p.target.Excluded(), Pooled: p.lastGood.Handler(), Log: p.log.WithName("twin"), Clock: clock.RealClock{},
		Disarmed: p.disarmed(clients),
	}
	return p.twin.Register(p.manager)
}

// register makes the certificate and the configurations.
func (p *process) register(clients kubernetes.Interface) error {
	from := p.settings.Certificate
	p.target = registration.Target{
		URL: p.settings.URL, Service: p.settings.Service, Namespace: p.settings.Namespace, Kinds: p.kinds, Autoscalers: p.settings.Autoscalers,
		InjectCAFrom: from.InjectCAFrom,
	}
	options := registration.WriterOptions{Client: clients, Target: p.target, Log: p.log, Ready: p.mayRegister}
	switch from.Mode {
	case config.SelfManaged:
		options.CA = registration.SecretCA(clients, p.settings.Namespace)
	case config.Files:
		options.CA = registration.FileCA(from.CAFile)
	case config.CertManager: // writes the CA itself
	}
	p.writer = registration.NewWriter(options)
	var err error
	if from.Mode == config.SelfManaged {
		p.certificate, err = registration.Certificate(p.manager.GetConfig(), p.target, p.writer)
	} else {
		p.certificate, err = registration.NewFiles(from.CertFile, from.KeyFile, p.target, p.writer)
	}
	if err != nil {
		return err
	}
	if accepted := p.settings.ClientCA; accepted != nil {
		if p.callers, err = handler.NewCallers(accepted.File, accepted.Names, p.log); err != nil {
			return err
		}
		if err := p.manager.Add(p.callers); err != nil {
			return err
		}
	}
	return add(p.manager, p.certificate, p.writer)
}

// serve makes the handlers and what they read from.
func (p *process) serve(ctx context.Context, clients kubernetes.Interface, writer client.Client) error {
	live, err := metadata.NewForConfig(p.manager.GetConfig())
	if err != nil {
		return fmt.Errorf("make a metadata client: %w", err)
	}
	objects, err := dynamic.NewForConfig(p.manager.GetConfig())
	if err != nil {
		return fmt.Errorf("make a client of any kind: %w", err)
	}
	informers, lastGood := p.manager.GetCache(), p.lastGood
	namespaces := sources.NewNamespaces(informers, live, lastGood)
	for _, gvk := range append([]schema.GroupVersionKind{sources.NamespaceKind}, sources.ParentKinds...) {
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(gvk)
		informer, err := informers.GetInformer(ctx, o)
		if err != nil {
			return fmt.Errorf("watch %s: %w", gvk.Kind, err)
		}
		if _, err := informer.AddEventHandler(lastGood.Handler()); err != nil {
			return fmt.Errorf("watch %s: %w", gvk.Kind, err)
		}
		if gvk == sources.NamespaceKind {
			namespaces.Hold(informer)
		}
	}
	p.pools, p.claims = sources.NewPools(informers, lastGood, p.log), devices.New(informers, clients.ResourceV1(), p.log)
	options := handler.Options{
		Namespaces: namespaces,
		Parents:    sources.NewParents(informers, live, p.manager.GetRESTMapper()),
		Owners:     sources.NewOwners(objects, p.kinds, p.log),
		Access:     sources.NewAccess(clients.AuthorizationV1()),
		Book:       ledger.NewBook(writer, p.settings.Namespace),
		Raised: func(ctx context.Context, namespace, workload string, written map[string]webhook.Rewrite) error {
			return p.twin.Raised(ctx, namespace, workload, written)
		},
		Ledgers: p.ledgers, LastGood: lastGood, Pools: p.pools, Claims: p.claims, MarkClaims: p.settings.MarkClaims, Kinds: p.kinds, Autoscalers: p.settings.Autoscalers,
		Registerer: ctrlmetrics.Registry, Log: p.log, Clock: clock.RealClock{},
	}
	handlers := handler.New(options)
	mux := http.NewServeMux()
	mux.Handle(registration.CeilingsPath, handlers.Ceilings)
	mux.Handle(registration.TotalsPath, handlers.Totals)
	mux.Handle(registration.ClampsPath, handlers.Clamps)
	mux.Handle(registration.PodsPath, handlers.Pods)
	p.reviews = p.tracer.Serve(mux)
	leader, err := newLeader(clients, p.settings.Namespace, p.log)
	if err != nil {
		return err
	}
	if err := p.keepAutoscalers(options, leader); err != nil {
		return err
	}
	if err := p.keepLimits(ctx, clients, objects, leader); err != nil {
		return err
	}
	if err := p.keepLedgers(ctx, ledger.KeeperOptions{Book: options.Book, Client: writer, Quotas: clients.CoreV1(), Claims: p.claims, Live: objects, Disarmed: p.disarmed(clients), Leading: leader.leads}); err != nil {
		return err
	}
	return add(p.manager, append(p.watchers(options, clients, leader), p.pools, p.claims, p.ledgers, leader)...)
}

// shelve watches the ledgers, which nobody may read in other namespaces.
func (p *process) shelve() error {
	own, err := cache.New(p.manager.GetConfig(), cache.Options{
		HTTPClient: p.manager.GetHTTPClient(), Scheme: p.manager.GetScheme(), Mapper: p.manager.GetRESTMapper(),
		DefaultNamespaces: map[string]cache.Config{p.settings.Namespace: {}}, DefaultTransform: cache.TransformStripManagedFields(),
	})
	if err != nil {
		return fmt.Errorf("make a cache of ledgers: %w", err)
	}
	p.ledgers = ledger.NewShelf(own, p.settings.Namespace, p.log)
	return p.manager.Add(own)
}

// keepLedgers has the ledgers of totals follow what there is.
func (p *process) keepLedgers(ctx context.Context, o ledger.KeeperOptions) error {
	o.Cached, o.Mapper, o.Kinds = p.manager.GetCache(), p.manager.GetRESTMapper(), p.kinds
	o.Namespace, o.Excluded, o.Log = p.settings.Namespace, p.target.Excluded(), p.log.WithName("ledgers")
	o.Events, o.Registerer = p.manager.GetEventRecorder("forewarm-webhook"), ctrlmetrics.Registry
	keeper := ledger.NewKeeper(o)
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(sources.NamespaceKind)
	informer, err := p.manager.GetCache().GetInformer(ctx, namespace)
	if err != nil {
		return fmt.Errorf("watch Namespaces: %w", err)
	}
	if _, err := informer.AddEventHandler(keeper.NamespaceHandler()); err != nil {
		return fmt.Errorf("watch Namespaces: %w", err)
	}
	p.claims.OnChange(keeper.ClaimsChanged)
	return add(p.manager, keeper)
}

// keepAutoscalers brings existing HPAs in line with ceilings that change.
func (p *process) keepAutoscalers(options handler.Options, leader *leader) error {
	autoscalers := handler.NewAutoscalers(options, handler.AutoscalersOptions{
		Client: p.manager.GetClient(), Excluded: p.target.Excluded(), Manager: registration.TouchManager, Leading: leader.leads,
	})
	if err := autoscalers.Register(p.manager); err != nil {
		return fmt.Errorf("watch HorizontalPodAutoscalers: %w", err)
	}
	p.ledgers.OnChange(autoscalers.Counted)
	return nil
}

func (p *process) checks() error {
	if err := p.manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return p.manager.AddReadyzCheck("webhook", p.ready)
}

func add(mgr manager.Manager, runnables ...manager.Runnable) error {
	for _, r := range runnables {
		if err := mgr.Add(r); err != nil {
			return err
		}
	}
	return nil
}

// ensureNamespace makes the namespace of the CA's Secret where an installer has not.
func ensureNamespace(ctx context.Context, clients kubernetes.Interface, name string) error {
	_, err := clients.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = clients.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make namespace %s: %w; create it, or set webhook.namespace in the configuration file", name, err)
	}
	return nil
}

// slim keeps of every watched object only what reviews read: of metadata our annotations, the
// owners, and the labels of Namespaces.
func slim(in any) (any, error) {
	o, ok := in.(*metav1.PartialObjectMetadata)
	if !ok {
		stripped, err := cache.TransformStripManagedFields()(in)
		if err != nil {
			return nil, err
		}
		return devices.Slim(stripped)
	}
	kept := metav1.ObjectMeta{
		Name: o.Name, Namespace: o.Namespace, DeletionTimestamp: o.DeletionTimestamp, UID: o.UID, ResourceVersion: o.ResourceVersion,
		OwnerReferences: o.OwnerReferences, Generation: o.Generation,
	}
	for _, annotation := range webhook.Written() {
		if value, set := o.Annotations[annotation]; set {
			metav1.SetMetaDataAnnotation(&kept, annotation, value)
		}
	}
	if o.Namespace == "" {
		kept.Labels = o.Labels
	}
	o.ObjectMeta = kept
	return o, nil
}
