package topology

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"forewarm.dev/capacity/kueue"
)

// lookAgain is how often is looked whether there is a Kueue by now.
const lookAgain = 30 * time.Second

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
		mapping, err := w.options.Mapper.RESTMapping(kueue.WorkloadKind)
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
	workloads := w.options.Client.Resource(resource)
	follow := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return all(ctx, workloads, o) },
		WatchFuncWithContext: workloads.Watch,
	}, w.options.Client)
	informer := cache.NewSharedIndexInformerWithOptions(follow, &unstructured.Unstructured{}, cache.SharedIndexInformerOptions{ObjectDescription: resource.String()})
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

// all lists Workloads in pages, and keeps of each page what is read. A server gives pages only of the newest version.
func all(ctx context.Context, workloads dynamic.ResourceInterface, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	o.ResourceVersion, o.ResourceVersionMatch, o.Limit, o.Continue = "", "", kueue.Page, ""
	whole := &unstructured.UnstructuredList{}
	for {
		part, err := workloads.List(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("list Kueue's Workloads: %w", err)
		}
		for i := range part.Items {
			thin, err := lean(&part.Items[i])
			if err != nil {
				return nil, err
			}
			whole.Items = append(whole.Items, *thin.(*unstructured.Unstructured))
		}
		whole.Object = part.Object
		if o.Continue = part.GetContinue(); o.Continue == "" {
			return whole, nil
		}
	}
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
