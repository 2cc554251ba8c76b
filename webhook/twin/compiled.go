package twin

import (
	"context"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"forewarm.dev/webhook"
)

// nodePool is what NodeClaims come of.
var nodePool = schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodePool"}

// watchPools has the policies follow NodePools.
func (k *Keeper) watchPools(ctx context.Context, watcher controller.Controller) error {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(nodePool)
	if k.Pooled != nil {
		informer, err := k.manager.GetCache().GetInformer(ctx, o)
		if err != nil {
			return fmt.Errorf("watch NodePools: %w", err)
		}
		if _, err := informer.AddEventHandler(k.Pooled); err != nil {
			return fmt.Errorf("watch NodePools: %w", err)
		}
	}
	err := watcher.Watch(source.Kind(k.manager.GetCache(), o, handler.TypedEnqueueRequestsFromMapFunc(
		func(context.Context, *metav1.PartialObjectMetadata) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: metav1.NamespaceSystem}}}
		})))
	if err != nil {
		return fmt.Errorf("watch NodePools: %w", err)
	}
	k.pooled.Store(true)
	return nil
}

// policies applies the policies with what is written on kube-system and on NodePools. A value
// that cannot be read leaves its last good one in them, or them as they are where none is known.
func (k *Keeper) policies(ctx context.Context, system *metav1.PartialObjectMetadata) error {
	o := Options{Excluded: k.Excluded, Autoscalers: k.Autoscalers, Kinds: k.Table, Pools: map[string]Pool{}}
	last := k.last
	if last == nil {
		last = &Options{}
	}
	if !o.read(system.Annotations, *last) && k.last == nil && k.standing(ctx) {
		return nil
	}
	if err := k.readPools(ctx, o.Pools, last.Pools); err != nil {
		return err
	}
	if err := k.applyPolicies(ctx, o); err != nil {
		return err
	}
	k.last = &o
	return nil
}

// read takes over what is written on kube-system; it returns false where some of that cannot be
// read, and counts as it did the last time.
func (o *Options) read(annotations map[string]string, last Options) bool {
	good := true
	if value, set := annotations[webhook.MaxReplicas]; set {
		n, err := webhook.ParseCeiling(value)
		if o.Cluster = &n; err != nil {
			o.Cluster, good = last.Cluster, false
		}
	}
	if value, set := annotations[webhook.AllowedInstanceTypes]; set {
		if o.Instances = value; webhook.Malformed(webhook.AllowedInstanceTypes, value) != nil {
			o.Instances, good = last.Instances, false
		}
	}
	return good
}

// readPools reads what NodePools say.
func (k *Keeper) readPools(ctx context.Context, into, last map[string]Pool) error {
	if !k.pooled.Load() {
		return nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(nodePool)
	if err := k.Cached.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list NodePools: %w", err)
	}
	for _, o := range list.Items {
		mode, _ := webhook.ParseMode(o.Annotations[webhook.CeilingMode])
		pool := Pool{Instances: o.Annotations[webhook.AllowedInstanceTypes], Relaxed: mode != webhook.Enforce}
		if webhook.Malformed(webhook.AllowedInstanceTypes, pool.Instances) != nil {
			pool.Instances = last[o.Name].Instances
			if _, set := o.Annotations[webhook.AllowedInstanceTypes]; !set {
				pool.Instances = ""
			}
		}
		if pool != (Pool{}) {
			into[o.Name] = pool
		}
	}
	return nil
}

// applyPolicies writes all of them, and the mutating ones where the API server has those.
func (k *Keeper) applyPolicies(ctx context.Context, o Options) error {
	var all []client.Object
	for _, p := range Policies(o) {
		all = append(all, &p)
	}
	for _, b := range Bindings() {
		all = append(all, &b)
	}
	clamps, err := k.clamps(o)
	if err != nil {
		return err
	}
	for _, one := range append(all, clamps...) {
		if err := k.apply(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

// clamps are the mutating ones; none where the API server does not have those.
func (k *Keeper) clamps(o Options) ([]client.Object, error) {
	_, err := k.Client.RESTMapper().RESTMapping(schema.GroupKind{Group: admissionregistrationv1.GroupName, Kind: "MutatingAdmissionPolicy"}, "v1")
	if meta.IsNoMatchError(err) {
		if k.last == nil {
			k.Log.Info("The API server does not serve MutatingAdmissionPolicy v1, which came with Kubernetes 1.36; while no webhook answers, autoscalers are refused at their ceiling instead of clamped to it")
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for MutatingAdmissionPolicies: %w", err)
	}
	var all []client.Object
	for _, p := range Clamps(o) {
		all = append(all, &p)
	}
	for _, b := range ClampBindings() {
		all = append(all, &b)
	}
	return all, nil
}

// standing says whether policies are there already.
func (k *Keeper) standing(ctx context.Context) bool {
	return k.Client.Get(ctx, client.ObjectKey{Name: Plain}, &admissionregistrationv1.ValidatingAdmissionPolicy{}) == nil
}
