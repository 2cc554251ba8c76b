package twin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// fieldManager owns what the keeper writes.
const fieldManager = "forewarm-webhook-twin"

// Keeper keeps policies and sets as the annotations say. Every replica runs one: they apply
// the same bytes, and one whose cache is behind is put right by its next event.
type Keeper struct {
	// Cached has informers for the metadata of Namespaces and Kinds, and for CeilingSets.
	Cached client.Reader
	// Client writes.
	Client client.Client
	// Kinds are the kinds of workloads whose own annotations are compiled, with their resources.
	Kinds map[schema.GroupVersionKind]string
	// Table is the table of kinds; Autoscalers are the users that are clamped.
	Table       []webhook.Kind
	Autoscalers []string
	// Excluded are the namespaces that are left alone.
	Excluded []string
	// Disarmed says whether Forewarm was taken out of admission.
	Disarmed func(context.Context) (bool, error)
	Log      logr.Logger
	Clock    clock.PassiveClock
	// Pooled is told of NodePools, by metadata.
	Pooled toolscache.ResourceEventHandler

	manager ctrl.Manager
	// last is what the policies were made of the last time, nil before.
	last *Options
	// pooled is true once NodePools are watched.
	pooled atomic.Bool
}

const (
	// resync is how often the policies are put right where somebody changed them.
	resync = time.Minute
	// whileDisarmed is how soon it is looked whether they are wanted again.
	whileDisarmed = 5 * time.Second
)

// aheadFor is how long a raise stands in a CeilingSet that is not stored: longer than a write takes
// from its review until the caches here have it.
const aheadFor = 5 * time.Second

// reconciles is how many Namespaces are made right at once: growth within a ceiling that was just
// raised is refused until its Namespace has had its turn.
const reconciles = 4

// lookAgain is how often a CRD is looked for while it is not installed.
const lookAgain = 30 * time.Second

// Register adds the keeper to a manager.
func (k *Keeper) Register(mgr ctrl.Manager) error {
	k.manager = mgr
	return mgr.Add(k)
}

// NeedLeaderElection is false: every replica keeps the twin.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Start waits for the CRD of CeilingSets, without which there is no twin, and keeps it; then it
// waits for that of NodePools.
func (k *Keeper) Start(ctx context.Context) error {
	if !k.await(ctx, v1alpha1.GroupVersion.WithKind("CeilingSet"), "ceilings hold only while a webhook answers") {
		return nil
	}
	watcher, err := k.watch()
	if err != nil {
		return err
	}
	if !k.await(ctx, nodePool, "there is none") {
		return nil
	}
	return k.watchPools(ctx, watcher)
}

// await looks for a kind until it is installed; it returns false where ctx ends before.
func (k *Keeper) await(ctx context.Context, gvk schema.GroupVersionKind, meanwhile string) bool {
	for told := false; ; told = true {
		_, err := k.Client.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
		if err == nil {
			return true
		}
		if !told {
			k.Log.Info("The CRD of a kind is not installed; it is looked for", "kind", gvk.Kind, "meanwhile", meanwhile, "reason", err.Error())
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(lookAgain):
		}
	}
}

func (k *Keeper) watch() (controller.Controller, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	b := ctrl.NewControllerManagedBy(k.manager).Named("twin").For(namespace, builder.OnlyMetadata).
		WithOptions(controller.Options{NeedLeaderElection: new(false), MaxConcurrentReconciles: reconciles}).
		Watches(&v1alpha1.CeilingSet{}, handler.EnqueueRequestsFromMapFunc(inNamespace))
	for gvk := range k.Kinds {
		o := &metav1.PartialObjectMetadata{}
		o.SetGroupVersionKind(gvk)
		b = b.Watches(o, handler.EnqueueRequestsFromMapFunc(inNamespace))
	}
	return b.Build(k)
}

func inNamespace(_ context.Context, o client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: o.GetNamespace()}}}
}

// Reconcile makes one Namespace right; kube-system stands for the policies.
func (k *Keeper) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	if err := k.Cached.Get(ctx, client.ObjectKey{Name: request.Name}, namespace); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if request.Name == metav1.NamespaceSystem {
		if disarmed, err := k.Disarmed(ctx); disarmed || err != nil {
			return reconcile.Result{RequeueAfter: whileDisarmed}, err
		}
		return reconcile.Result{RequeueAfter: resync}, k.policies(ctx, namespace)
	}
	if namespace.DeletionTimestamp != nil || slices.Contains(k.Excluded, request.Name) {
		return reconcile.Result{}, nil
	}
	return k.set(ctx, namespace)
}

// set makes the CeilingSet of a Namespace and its label. The set comes before the label and
// goes after it, since growth is refused while the label is there without the set.
func (k *Keeper) set(ctx context.Context, namespace *metav1.PartialObjectMetadata) (reconcile.Result, error) {
	before, err := k.standingSet(ctx, namespace.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	workloads, err := k.workloads(ctx, namespace.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	now := k.Clock.Now()
	spec, wanted, ends := Compile(namespace, workloads, before.Spec, now)
	if !wanted {
		if err := k.label(ctx, namespace, false); err != nil || before.UID == "" {
			return reconcile.Result{}, err
		}
		return reconcile.Result{}, client.IgnoreNotFound(k.Client.Delete(ctx, before))
	}
	if before.UID == "" || !equality.Semantic.DeepEqual(before.Spec, spec) {
		if err := k.apply(ctx, ceilingSet(namespace.Name, spec)); err != nil {
			return reconcile.Result{}, err
		}
	}
	result := reconcile.Result{}
	if !ends.IsZero() {
		result.RequeueAfter = max(ends.Sub(now), time.Second)
	}
	return result, k.label(ctx, namespace, true)
}

// Raised writes ahead what a write that was let in says of a workload, so that the API server's
// policies know it when it is stored.
func (k *Keeper) Raised(ctx context.Context, namespace, key string, written map[string]webhook.Rewrite) error {
	if slices.Contains(k.Excluded, namespace) {
		return nil
	}
	before, err := k.standingSet(ctx, namespace)
	if err != nil || before.UID == "" {
		return err
	}
	now := k.Clock.Now()
	spec, changed := Raise(before.Spec, key, written, now, now.Add(aheadFor))
	if !changed {
		return nil
	}
	return k.apply(ctx, ceilingSet(namespace, spec))
}

func ceilingSet(namespace string, spec v1alpha1.CeilingSetSpec) *v1alpha1.CeilingSet {
	set := &v1alpha1.CeilingSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.CeilingSetName}, Spec: spec}
	set.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CeilingSet"))
	return set
}

// standingSet is the set of a namespace, empty where there is none.
func (k *Keeper) standingSet(ctx context.Context, namespace string) (*v1alpha1.CeilingSet, error) {
	key := client.ObjectKey{Namespace: namespace, Name: v1alpha1.CeilingSetName}
	set := &v1alpha1.CeilingSet{}
	if err := k.Cached.Get(ctx, key, set); client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get CeilingSet %s: %w", key, err)
	}
	return set, nil
}

// workloads are those of a namespace that carry an annotation of ours.
func (k *Keeper) workloads(ctx context.Context, namespace string) ([]Workload, error) {
	var out []Workload
	for gvk, resource := range k.Kinds {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(gvk)
		if err := k.Cached.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list %s of %s: %w", resource, namespace, err)
		}
		for _, o := range list.Items {
			if len(o.Annotations) > 0 && metav1.GetControllerOf(&o) == nil {
				out = append(out, Workload{Key: Key(gvk.Group, resource, o.Name), Annotations: o.Annotations})
			}
		}
	}
	return out, nil
}

func (k *Keeper) label(ctx context.Context, namespace *metav1.PartialObjectMetadata, on bool) error {
	if _, is := namespace.Labels[v1alpha1.LabelCeilings]; is == on {
		return nil
	}
	value := "null"
	if on {
		value = `"true"`
	}
	body := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, v1alpha1.LabelCeilings, value)
	if err := k.Client.Patch(ctx, namespace.DeepCopy(), client.RawPatch("application/merge-patch+json", body)); err != nil {
		return fmt.Errorf("label Namespace %s: %w", namespace.Name, err)
	}
	return nil
}

// apply writes an object by server-side apply.
func (k *Keeper) apply(ctx context.Context, o client.Object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	kind := o.GetObjectKind().GroupVersionKind().Kind
	if err := k.Client.Patch(ctx, o, client.RawPatch("application/apply-patch+yaml", body), client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, client.ObjectKeyFromObject(o), err)
	}
	return nil
}
