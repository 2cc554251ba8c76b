// Package snapshot turns informer caches into an immutable view of nodes and pods, once,
// for all who decide about them.
package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/internal/suits"
)

// Snapshot is what there was at one time. Its objects are shared with the informers: nobody
// may change them.
type Snapshot struct {
	// Nodes are all nodes, by name.
	Nodes []*corev1.Node
	// Pods are all pods that have not ended, by namespace and name.
	Pods []*corev1.Pod

	byNode map[string][]*corev1.Pod
}

// Take lists nodes and pods from a reader.
func Take(ctx context.Context, reader client.Reader) (Snapshot, error) {
	var nodes corev1.NodeList
	if err := reader.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return Snapshot{}, fmt.Errorf("list nodes: %w", err)
	}
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		return Snapshot{}, fmt.Errorf("list pods: %w", err)
	}
	return of(pointers(nodes.Items), pointers(pods.Items)), nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}

// Stores are where informers keep nodes and pods. What they hold is not copied, as a list of it is, which for
// 100,000 pods is more than all that is done with it.
type Stores struct{ Nodes, Pods toolscache.Store }

// NewStores are those of some informers, once they are synced.
func NewStores(ctx context.Context, informers cache.Informers) (s Stores, err error) {
	if s.Nodes, err = storeOf(ctx, informers, &corev1.Node{}); err == nil {
		s.Pods, err = storeOf(ctx, informers, &corev1.Pod{})
	}
	return s, err
}

func storeOf(ctx context.Context, informers cache.Informers, object client.Object) (toolscache.Store, error) {
	informer, err := informers.GetInformer(ctx, object)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", object, err)
	}
	keeps, ok := informer.(interface{ GetStore() toolscache.Store })
	if !ok {
		return nil, fmt.Errorf("an informer of %T keeps no store of them all: watch all namespaces", object)
	}
	return keeps.GetStore(), nil
}

// Take is what they hold now.
func (s Stores) Take() Snapshot { return of(held[corev1.Node](s.Nodes), held[corev1.Pod](s.Pods)) }

func held[T any](store toolscache.Store) []*T {
	objects := store.List()
	out := make([]*T, 0, len(objects))
	for _, object := range objects {
		if o, ok := object.(*T); ok {
			out = append(out, o)
		}
	}
	return out
}

// of is the snapshot of some nodes and pods, whose slices become its own.
func of(nodes []*corev1.Node, pods []*corev1.Pod) Snapshot {
	s := Snapshot{Nodes: nodes, Pods: slices.DeleteFunc(pods, ended), byNode: map[string][]*corev1.Pod{}}
	slices.SortFunc(s.Nodes, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Pods, func(a, b *corev1.Pod) int {
		if a.Namespace != b.Namespace {
			return cmp.Compare(a.Namespace, b.Namespace)
		}
		return cmp.Compare(a.Name, b.Name)
	})
	for _, pod := range s.Pods {
		if name := pod.Spec.NodeName; name != "" {
			s.byNode[name] = append(s.byNode[name], pod)
		}
	}
	return s
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// With is the snapshot with pods that were read later: those on a node where it does not have them yet.
func (s Snapshot) With(later []*corev1.Pod) Snapshot {
	byNode, cloned := s.byNode, false
	for _, pod := range later {
		on := byNode[pod.Spec.NodeName]
		if pod.Spec.NodeName == "" || ended(pod) || slices.ContainsFunc(on, func(p *corev1.Pod) bool { return p.UID == pod.UID }) {
			continue
		}
		if !cloned {
			byNode, cloned = maps.Clone(s.byNode), true // seldom: the cache is hardly ever behind
		}
		byNode[pod.Spec.NodeName] = append(slices.Clip(on), pod)
	}
	s.byNode = byNode
	return s
}

// PodsOn are the pods on a node that have not ended, by namespace and name.
func (s Snapshot) PodsOn(node string) []*corev1.Pod { return s.byNode[node] }

// Node is the node with a name, nil for none.
func (s Snapshot) Node(name string) *corev1.Node {
	at, found := slices.BinarySearchFunc(s.Nodes, name, func(n *corev1.Node, name string) int { return cmp.Compare(n.Name, name) })
	if !found {
		return nil
	}
	return s.Nodes[at]
}

// MayRun tells whether the node with a name allows a pod, whatever is free there.
func (s Snapshot) MayRun(pod *corev1.Pod) func(name string) bool {
	fits := suits.Of(pod)
	return func(name string) bool {
		node := s.Node(name)
		return node != nil && fits(node) == suits.Misfit{}
	}
}
