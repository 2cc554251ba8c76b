package topology

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

const (
	group = "kueue.x-k8s.io"
	// lookAgain is how often is looked whether there is a Kueue by now.
	lookAgain = 30 * time.Second
)

// Options are what a Watcher needs.
type Options struct {
	Client dynamic.Interface
	Mapper meta.RESTMapper
	Clock  clock.WithTicker
	Log    logr.Logger
}

// Watcher follows Workloads; of those that wait for something else, it keeps the names. Its informer is its
// own, so that neither a missing kind nor a missing right holds anybody up.
type Watcher struct {
	options Options
	wake    func()

	mu    sync.Mutex
	loads map[types.UID]Load
	tried map[types.UID]tried
}

// NewWatcher makes a Watcher.
func NewWatcher(o Options) *Watcher {
	return &Watcher{options: o, loads: map[types.UID]Load{}, tried: map[types.UID]tried{}, wake: func() {}}
}

// Wake has a function called when a Workload begins to wait.
func (w *Watcher) Wake(call func()) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake = call
}

// NeedLeaderElection says that only the leader makes room.
func (w *Watcher) NeedLeaderElection() bool { return true }

// Start watches, as soon as there are Workloads, until ctx ends.
func (w *Watcher) Start(ctx context.Context) error {
	ticker := w.options.Clock.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		mapping, err := w.options.Mapper.RESTMapping(schema.GroupKind{Group: group, Kind: "Workload"})
		if err == nil {
			return w.watch(ctx, mapping.Resource)
		}
		if !meta.IsNoMatchError(err) {
			w.options.Log.Error(err, "Kueue's Workloads not found")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

func (w *Watcher) watch(ctx context.Context, resource schema.GroupVersionResource) error {
	informer := dynamicinformer.NewFilteredDynamicInformer(w.options.Client, resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	if err := informer.SetTransform(lean); err != nil {
		return err
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    w.seen,
		UpdateFunc: func(_, after any) { w.seen(after) },
		DeleteFunc: w.gone,
	})
	if err != nil {
		return err
	}
	informer.RunWithContext(ctx)
	return nil
}

// lean leaves out what is not read: nearly all of a Workload that does not wait for room.
func lean(object any) (any, error) {
	item, is := object.(*unstructured.Unstructured)
	if !is {
		return object, nil
	}
	if waitsFor(item) != "" {
		item.SetManagedFields(nil)
		return item, nil
	}
	kept := &unstructured.Unstructured{Object: map[string]any{}}
	kept.SetAPIVersion(item.GetAPIVersion())
	kept.SetKind(item.GetKind())
	kept.SetNamespace(item.GetNamespace())
	kept.SetName(item.GetName())
	kept.SetUID(item.GetUID())
	kept.SetResourceVersion(item.GetResourceVersion())
	return kept, nil
}

func (w *Watcher) seen(object any) {
	item, is := object.(*unstructured.Unstructured)
	if !is {
		return
	}
	load, waits := read(item)
	w.mu.Lock()
	_, known := w.loads[item.GetUID()]
	if waits {
		w.loads[item.GetUID()] = load
	} else {
		delete(w.loads, item.GetUID())
	}
	wake := w.wake
	w.mu.Unlock()
	if waits && !known {
		wake()
	}
}

func (w *Watcher) gone(object any) {
	if last, is := object.(cache.DeletedFinalStateUnknown); is {
		object = last.Obj
	}
	if item, is := object.(*unstructured.Unstructured); is {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.loads, item.GetUID())
	}
}

// Waiting are the Workloads that wait for room, the highest priority first, then the oldest, then by UID.
func (w *Watcher) Waiting() []Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	loads := make([]Load, 0, len(w.loads))
	for _, load := range w.loads {
		loads = append(loads, load)
	}
	slices.SortFunc(loads, compare)
	return loads
}

// Tree is a Topology, and the flavors of nodes that are in it.
type Tree struct {
	// levels are node labels, the widest first.
	levels  []string
	flavors []flavor
}

type flavor struct {
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

// list shows all objects of a kind, of which there are few.
func (w *Watcher) list(ctx context.Context, kind string, show func(*unstructured.Unstructured) error) error {
	mapping, err := w.options.Mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind})
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
