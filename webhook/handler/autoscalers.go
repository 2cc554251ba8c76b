package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/flowcontrol"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/sources"
)

const (
	// resync is how often every HPA is looked at without an event: overrides end by time.
	resync = time.Minute
	// touchAgain is how soon an HPA is touched again that the webhook was not asked about.
	touchAgain = 5 * time.Second
	// touchesPerSecond bounds the writes that follow a change of the cluster's ceiling.
	touchesPerSecond = 20
)

// Autoscalers brings HPAs under a ceiling that appears or shrinks, and gives them back what
// they had when it lifts. It only decides that something is to be done, from caches, and then
// touches the HPA by an empty patch: it is the mutating webhook that changes it, as if
// somebody had written it. So the change belongs to no field manager, and whoever applies the
// HPA from Git is not told of a conflict.
type Autoscalers struct {
	server
	client   client.Client
	excluded []string
	manager  string
	leading  func() bool
	limiter  flowcontrol.RateLimiter
	// counted are the Namespaces whose ledgers have changed.
	counted chan event.GenericEvent
}

// AutoscalersOptions are what Autoscalers needs beside what the handlers do.
type AutoscalersOptions struct {
	// Client reads HPAs from a cache, and writes.
	Client client.Client
	// Excluded are the namespaces that are left alone.
	Excluded []string
	// Manager is the field manager that the webhook is asked about though nothing changes.
	Manager string
	// Leading says whether this replica is the one that writes.
	Leading func() bool
}

// NewAutoscalers makes the controller, which decides as the handler of clamps does.
func NewAutoscalers(o Options, a AutoscalersOptions) *Autoscalers {
	c := o.converter()
	c.parents = c.parents.Behind()
	return &Autoscalers{
		server: server{convert: c.clamps, chain: webhook.Clamps(), owners: o.Owners, log: o.Log.WithName("autoscalers")},
		client: a.Client, excluded: a.Excluded, manager: a.Manager, leading: a.Leading,
		limiter: flowcontrol.NewTokenBucketRateLimiter(touchesPerSecond, touchesPerSecond),
		counted: make(chan event.GenericEvent, 1024),
	}
}

// Counted has the leader look at the HPAs of a Namespace whose ledger has changed; what does not fit is looked at
// within a minute.
func (a *Autoscalers) Counted(h ledger.Holder) {
	if h.Kind != ledger.Namespace || !a.leading() {
		return
	}
	select {
	case a.counted <- event.GenericEvent{Object: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: h.Name}}}:
	default:
	}
}

// Register adds the controller to a manager. Every replica watches, so that another leader
// needs no start.
func (a *Autoscalers) Register(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).Named("autoscalers").
		For(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(predicate.Funcs{UpdateFunc: matters})).
		WithOptions(controller.Options{NeedLeaderElection: new(false)})
	annotated := builder.WithPredicates(predicate.AnnotationChangedPredicate{})
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(sources.NamespaceKind)
	b = b.Watches(namespace, handler.EnqueueRequestsFromMapFunc(a.within), annotated)
	for _, gvk := range sources.ParentKinds {
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(gvk)
		b = b.Watches(o, handler.EnqueueRequestsFromMapFunc(a.targeting), annotated)
	}
	b = b.WatchesRawSource(source.Channel(a.counted, handler.EnqueueRequestsFromMapFunc(a.within)))
	return b.Complete(a)
}

// matters leaves out the writes of an HPA's status that say nothing new about its replicas, nor that it asks for
// more than there are.
func matters(e event.UpdateEvent) bool {
	old, isOld := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler)
	now, isNow := e.ObjectNew.(*autoscalingv2.HorizontalPodAutoscaler)
	return !isOld || !isNow || old.Status.CurrentReplicas != now.Status.CurrentReplicas ||
		old.Status.DesiredReplicas != now.Status.DesiredReplicas && now.Status.DesiredReplicas > now.Status.CurrentReplicas || !equality.Semantic.DeepEqual(old.Spec, now.Spec) ||
		old.Annotations[webhook.OriginalMaxReplicas] != now.Annotations[webhook.OriginalMaxReplicas] ||
		old.Annotations[webhook.OriginalMinReplicas] != now.Annotations[webhook.OriginalMinReplicas]
}

// within are the HPAs of a Namespace, or for kube-system of the cluster.
func (a *Autoscalers) within(ctx context.Context, namespace client.Object) []reconcile.Request {
	in := namespace.GetName()
	if in == metav1.NamespaceSystem {
		in = metav1.NamespaceAll
	}
	return a.list(ctx, in, func(autoscalingv2.CrossVersionObjectReference) bool { return true })
}

// targeting are the HPAs that point to a workload.
func (a *Autoscalers) targeting(ctx context.Context, workload client.Object) []reconcile.Request {
	kind := workload.GetObjectKind().GroupVersionKind().Kind
	return a.list(ctx, workload.GetNamespace(), func(target autoscalingv2.CrossVersionObjectReference) bool {
		return target.Name == workload.GetName() && (kind == "" || target.Kind == kind)
	})
}

func (a *Autoscalers) list(ctx context.Context, namespace string, wanted func(autoscalingv2.CrossVersionObjectReference) bool) []reconcile.Request {
	var hpas autoscalingv2.HorizontalPodAutoscalerList
	if err := a.client.List(ctx, &hpas, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		a.log.Error(err, "HPAs cannot be listed; they are looked at within a minute")
		return nil
	}
	var out []reconcile.Request
	for i := range hpas.Items {
		if wanted(hpas.Items[i].Spec.ScaleTargetRef) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&hpas.Items[i])})
		}
	}
	return out
}

// Reconcile looks at one HPA: 1 get, 2 decide, 3 touch.
func (a *Autoscalers) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	again := reconcile.Result{RequeueAfter: resync}
	if !a.leading() || slices.Contains(a.excluded, request.Namespace) {
		return again, nil
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := a.client.Get(ctx, request.NamespacedName, hpa); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	decision, err := a.review(ctx, hpa)
	if err != nil || len(decision.Patch) == 0 {
		return again, err
	}
	return a.touch(ctx, hpa, decision.Reason)
}

// review asks what the webhook would say to a write that changes nothing.
func (a *Autoscalers) review(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler) (webhook.Decision, error) {
	raw, err := json.Marshal(hpa)
	if err != nil {
		return webhook.Decision{}, fmt.Errorf("encode HorizontalPodAutoscaler: %w", err)
	}
	r := &admissionv1.AdmissionRequest{
		Operation: admissionv1.Update, Namespace: hpa.Namespace, Name: hpa.Name,
		Resource: metav1.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"},
	}
	r.Object.Raw, r.OldObject.Raw = raw, raw
	c, err := a.convert(ctx, r)
	if err != nil {
		return webhook.Decision{}, err
	}
	return a.decide(ctx, c)
}

// touch has the webhook asked about the HPA as it stands.
func (a *Autoscalers) touch(ctx context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, reason webhook.Reason) (reconcile.Result, error) {
	if err := a.limiter.Wait(ctx); err != nil {
		return reconcile.Result{}, err
	}
	before := hpa.DeepCopy()
	err := a.client.Patch(ctx, hpa, client.RawPatch(types.MergePatchType, []byte(`{}`)), client.FieldOwner(a.manager))
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("touch HorizontalPodAutoscaler: %w", err)
	}
	log := a.log.WithValues("hpa", client.ObjectKeyFromObject(hpa).String(), "reason", reason)
	if hpa.ResourceVersion == before.ResourceVersion {
		log.V(1).Info("The webhook was not asked about an HPA that is to change")
		return reconcile.Result{RequeueAfter: touchAgain}, nil
	}
	log.Info("HPA brought in line with its ceiling", "from", before.Spec.MaxReplicas, "to", hpa.Spec.MaxReplicas)
	return reconcile.Result{RequeueAfter: resync}, nil
}
