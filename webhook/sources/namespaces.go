package sources

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook"
)

// Namespaces reads the metadata of Namespaces from a cache, which may be behind by the
// time a watch event takes. A Namespace that is too new for the cache is read live.
type Namespaces struct {
	cached client.Reader
	// held is what the informer behind cached holds; nil where it is not known.
	held toolscache.Store
	// Live reads the metadata of every object from the API server.
	Live     metadata.Interface
	lastGood *LastGood
}

// NewNamespaces makes a reader. cached must have an informer for the metadata of Namespaces.
func NewNamespaces(cached client.Reader, live metadata.Interface, lastGood *LastGood) *Namespaces {
	return &Namespaces{cached: cached, Live: live, lastGood: lastGood}
}

// Hold has what the informer of Namespaces holds read without the cache before it, which takes
// several times as long to find the informer as that takes to find a Namespace.
func (n *Namespaces) Hold(informer cache.Informer) {
	if shared, ok := informer.(toolscache.SharedInformer); ok {
		n.held = shared.GetStore()
	}
}

// Get is the metadata of a Namespace, which must not be changed.
func (n *Namespaces) Get(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error) {
	if n.held != nil {
		found, _, _ := n.held.GetByKey(name) // of a store in memory, nil for what it does not hold
		if o, is := found.(*metav1.PartialObjectMetadata); is {
			return o, nil
		}
	}
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(NamespaceKind)
	err := n.cached.Get(ctx, client.ObjectKey{Name: name}, o, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		o, err = n.Live.Resource(NamespaceKind.GroupVersion().WithResource("namespaces")).Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("get Namespace %s: %w", name, err)
	}
	return o, nil
}

// Above are the annotations that bind the objects of a Namespace from above, and the mode
// that it sets. An object of the cluster, such as a node pool, has no Namespace.
func (n *Namespaces) Above(ctx context.Context, namespace string, measure webhook.Measure) ([]webhook.Setting, webhook.Mode, error) {
	mode := webhook.Enforce
	var out []webhook.Setting
	names := []string{metav1.NamespaceSystem}
	if namespace != "" && namespace != metav1.NamespaceSystem {
		names = []string{namespace, metav1.NamespaceSystem}
	}
	for _, name := range names {
		o, err := n.Get(ctx, name)
		if err != nil {
			return nil, mode, err
		}
		for _, annotation := range fromAbove(measure, name == namespace) {
			if s := n.lastGood.Setting(webhook.Object{Kind: "Namespace", Name: name}, annotation, o.UID, o.Annotations); s.Set {
				out = append(out, s)
			}
		}
		if value, set := o.Annotations[webhook.CeilingMode]; set && name == namespace {
			mode, _ = webhook.ParseMode(value)
		}
	}
	return out, mode, nil
}

// Instances is the cluster's list of approved instance types.
func (n *Namespaces) Instances(ctx context.Context) (webhook.Setting, error) {
	o, err := n.Get(ctx, metav1.NamespaceSystem)
	if err != nil {
		return webhook.Setting{}, err
	}
	return n.lastGood.Setting(webhook.Object{Kind: "Namespace", Name: o.Name}, webhook.AllowedInstanceTypes, o.UID, o.Annotations), nil
}

// fromAbove are the annotations by which a Namespace bounds what it holds, or kube-system
// the whole cluster.
func fromAbove(measure webhook.Measure, own bool) []string {
	switch {
	case measure == webhook.Nodes:
		return []string{webhook.MaxNodes}
	case own:
		return []string{webhook.WorkloadMaxReplicas, webhook.MaxReplicas}
	default:
		return []string{webhook.MaxReplicas}
	}
}
