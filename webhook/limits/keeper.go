package limits

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/observe"
)

const (
	// resync is how often everything is looked at without an event.
	resync = 30 * time.Second
	// again is how soon that is done after something failed, and how soon a new leader begins.
	again = time.Second
)

// Keeper keeps the limits as the annotations say, on the replica that leads.
type Keeper struct {
	KeeperOptions
	// asked has something in it when an annotation has changed.
	asked chan struct{}
}

// KeeperOptions say what a Keeper needs.
type KeeperOptions struct {
	// Cached has an informer for the metadata of Namespaces.
	Cached client.Reader
	Live   dynamic.Interface
	// Disarmed says whether Forewarm was taken out of admission.
	Disarmed func(context.Context) (bool, error)
	Leading  func() bool
	Events   events.EventRecorder
	Log      logr.Logger
}

// NewKeeper makes a keeper.
func NewKeeper(o KeeperOptions) *Keeper {
	return &Keeper{KeeperOptions: o, asked: make(chan struct{}, 1)}
}

// NeedLeaderElection is false: Leading tells.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Pools watches the annotations of NodePools, where Karpenter is installed.
func (k *Keeper) Pools(informers cache.Informers) *observe.Optional {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(nodePool)
	return observe.NewOptional(observe.OptionalOptions{
		Informers: informers, Kinds: []client.Object{o}, Log: k.Log, Without: "Karpenter's NodePools are not installed; no limit of theirs is generated",
		Watched: func(_ client.Object, informer cache.Informer) error {
			_, err := informer.AddEventHandler(k.handler(func(*metav1.PartialObjectMetadata) bool { return true }))
			return err
		},
	})
}

// NamespaceHandler has the keeper look when what kube-system says changes.
func (k *Keeper) NamespaceHandler() toolscache.ResourceEventHandler {
	return k.handler(func(o *metav1.PartialObjectMetadata) bool { return o.Name == metav1.NamespaceSystem })
}

func (k *Keeper) handler(matters func(*metav1.PartialObjectMetadata) bool) toolscache.ResourceEventHandler {
	look := func(any) {
		select {
		case k.asked <- struct{}{}:
		default: // it is going to look already
		}
	}
	return toolscache.FilteringResourceEventHandler{
		FilterFunc: func(seen any) bool {
			o, is := seen.(*metav1.PartialObjectMetadata)
			return is && matters(o)
		},
		Handler: toolscache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(before, after any) {
			was, now := before.(*metav1.PartialObjectMetadata), after.(*metav1.PartialObjectMetadata)
			if !maps.Equal(was.Annotations, now.Annotations) || was.Generation != now.Generation {
				look(now)
			}
		}},
	}
}

// Start keeps until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	for {
		wait := again
		if k.Leading() {
			if err := k.round(ctx); err == nil {
				wait = resync
			} else if ctx.Err() == nil {
				k.Log.Info("Native limits do not follow yet", "reason", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.asked:
		case <-time.After(wait):
		}
	}
}

// round makes all limits right: 1 observe, 2 decide and apply each. One that cannot be written holds
// up no other.
func (k *Keeper) round(ctx context.Context) error {
	if disarmed, err := k.Disarmed(ctx); disarmed || err != nil {
		return err
	}
	system := &metav1.PartialObjectMetadata{}
	system.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := k.Cached.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, system); err != nil {
		return fmt.Errorf("get Namespace kube-system: %w", err)
	}
	cluster := boundOf(system.Annotations)
	list, err := k.Live.Resource(nodePools).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		list, err = &unstructured.UnstructuredList{}, nil
	}
	if err != nil {
		return fmt.Errorf("list NodePools: %w", err)
	}
	var failed []error
	for i := range list.Items {
		if !k.Leading() {
			return errors.New("another replica leads")
		}
		pool := &list.Items[i]
		if err := k.pool(ctx, pool, boundOf(pool.GetAnnotations()).and(cluster)); err != nil {
			failed = append(failed, fmt.Errorf("limit NodePool %s: %w", pool.GetName(), err))
		}
	}
	return errors.Join(append(failed, k.quota(ctx, cluster))...)
}

// pool makes the limit of one NodePool right.
func (k *Keeper) pool(ctx context.Context, pool *unstructured.Unstructured, b bound) error {
	says := "spec.limits.nodes is no longer generated"
	switch decide(pool, b) {
	case leave:
		return nil
	case release:
		b.limit = nil
	case generate:
		says = fmt.Sprintf("spec.limits.nodes is %d now, what forewarm.dev/max-nodes allows", *b.limit)
	}
	err := applyLimit(ctx, k.Live, pool, b.limit)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // somebody has written it just now, or it is gone
	}
	if err != nil {
		return err
	}
	k.Log.Info("The limit of a NodePool follows its ceiling", "nodePool", pool.GetName(), "says", says)
	k.Events.Eventf(pool, nil, corev1.EventTypeNormal, v1alpha1.ReasonLimitGenerated, "Limit", "%s", says)
	return nil
}

// quota makes the CapacityQuota right.
func (k *Keeper) quota(ctx context.Context, b bound) error {
	switch {
	case b.unread:
		return nil
	case b.limit == nil:
		if _, err := deleteQuota(ctx, k.Live); err != nil {
			return fmt.Errorf("delete CapacityQuota %s: %w", QuotaName, err)
		}
	default:
		if _, err := applyQuota(ctx, k.Live, *b.limit); err != nil {
			return fmt.Errorf("apply CapacityQuota %s: %w", QuotaName, err)
		}
	}
	return nil
}
