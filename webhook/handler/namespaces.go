package handler

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook"
)

// Namespaces reads the metadata of Namespaces from a cache, which may be behind by the
// time a watch event takes. A Namespace that is too new for the cache is read live.
type Namespaces struct {
	cached   client.Reader
	live     metadata.Interface
	lastGood *LastGood
}

// NewNamespaces makes a reader. cached must have an informer for the metadata of Namespaces.
func NewNamespaces(cached client.Reader, live metadata.Interface, lastGood *LastGood) *Namespaces {
	return &Namespaces{cached, live, lastGood}
}

func (n *Namespaces) get(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error) {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(NamespaceKind)
	err := n.cached.Get(ctx, client.ObjectKey{Name: name}, o, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		o, err = n.live.Resource(NamespaceKind.GroupVersion().WithResource("namespaces")).Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("get Namespace %s: %w", name, err)
	}
	return o, nil
}

// ceilings are the annotations that bind the workloads of a Namespace from above. An object
// of the cluster, such as a node pool, is no workload: nothing but its own binds it.
func (n *Namespaces) ceilings(ctx context.Context, namespace string) ([]webhook.Setting, error) {
	if namespace == "" {
		return nil, nil
	}
	names := []string{namespace}
	if namespace != metav1.NamespaceSystem {
		names = append(names, metav1.NamespaceSystem)
	}
	var out []webhook.Setting
	for _, name := range names {
		o, err := n.get(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, n.lastGood.setting(webhook.Object{Kind: "Namespace", Name: name}, o.UID, o.Annotations))
	}
	return out, nil
}
