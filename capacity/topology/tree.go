package topology

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/capacity/kueue"
)

// Tree is a Topology, and the flavors of nodes that are in it.
type Tree struct {
	// levels are node labels, the widest first.
	levels  []string
	flavors []flavor
}

type flavor struct {
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		NodeLabels  map[string]string   `json:"nodeLabels"`
		Tolerations []corev1.Toleration `json:"tolerations"`
		Topology    *string             `json:"topologyName"`
	} `json:"spec"`
}

// Tree reads a Topology and its ResourceFlavors.
func (w *Watcher) Tree(ctx context.Context, name string) (Tree, error) {
	var tree Tree
	var topology struct {
		Spec struct {
			Levels []struct {
				NodeLabel string `json:"nodeLabel"`
			} `json:"levels"`
		} `json:"spec"`
	}
	if err := w.list(ctx, "Topology", func(item *unstructured.Unstructured) error {
		if item.GetName() != name {
			return nil
		}
		return into(item, &topology)
	}); err != nil {
		return tree, err
	}
	for _, level := range topology.Spec.Levels {
		tree.levels = append(tree.levels, level.NodeLabel)
	}
	err := w.list(ctx, "ResourceFlavor", func(item *unstructured.Unstructured) error {
		var f flavor
		if err := into(item, &f); err != nil {
			return err
		}
		if f.Spec.Topology != nil && *f.Spec.Topology == name {
			tree.flavors = append(tree.flavors, f)
		}
		return nil
	})
	return tree, err
}

// flavors are the names of the ResourceFlavors that the ClusterQueue behind a LocalQueue may use; none where either is
// gone.
func (w *Watcher) flavors(ctx context.Context, queue types.NamespacedName) (map[string]bool, error) {
	var local struct {
		Spec struct {
			ClusterQueue string `json:"clusterQueue"`
		} `json:"spec"`
	}
	if found, err := w.get(ctx, "LocalQueue", queue, &local); err != nil || !found {
		return nil, err
	}
	var whole struct {
		Spec struct {
			Groups []struct {
				Flavors []struct {
					Name string `json:"name"`
				} `json:"flavors"`
			} `json:"resourceGroups"`
		} `json:"spec"`
	}
	if found, err := w.get(ctx, "ClusterQueue", types.NamespacedName{Name: local.Spec.ClusterQueue}, &whole); err != nil || !found {
		return nil, err
	}
	names := map[string]bool{}
	for _, g := range whole.Spec.Groups {
		for _, f := range g.Flavors {
			names[f.Name] = true
		}
	}
	return names, nil
}

// get reads one object; false where there is none.
func (w *Watcher) get(ctx context.Context, kind string, key types.NamespacedName, object any) (found bool, err error) {
	if key.Name == "" {
		return false, nil
	}
	mapping, err := w.options.Mapper.RESTMapping(schema.GroupKind{Group: kueue.Group, Kind: kind})
	if err != nil {
		return false, fmt.Errorf("find Kueue's kind %s: %w", kind, err)
	}
	item, err := w.options.Client.Resource(mapping.Resource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("get %s %s of Kueue: %w", kind, key, err)
	}
	if err := into(item, object); err != nil {
		return false, fmt.Errorf("%s %s: %w", kind, key, err)
	}
	return true, nil
}

// list shows all objects of a kind, of which there are few.
func (w *Watcher) list(ctx context.Context, kind string, show func(*unstructured.Unstructured) error) error {
	mapping, err := w.options.Mapper.RESTMapping(schema.GroupKind{Group: kueue.Group, Kind: kind})
	if err != nil {
		return fmt.Errorf("find Kueue's kind %s: %w", kind, err)
	}
	items, err := w.options.Client.Resource(mapping.Resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list %s of Kueue: %w", kind, err)
	}
	for i := range items.Items {
		if err := show(&items.Items[i]); err != nil {
			return fmt.Errorf("%s %s: %w", kind, items.Items[i].GetName(), err)
		}
	}
	return nil
}
