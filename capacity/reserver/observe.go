package reserver

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/coming"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/capacity/room"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/snapshot"
	"forewarm.dev/internal/tracing"
)

// world is what one cycle sees. Nothing in it is changed but asked.
type world struct {
	snapshot.Snapshot
	// pools is ordered oldest first: where two overlap, the first has the nodes.
	pools []*v1alpha1.WarmPool
	// namespaces are the labels of each namespace.
	namespaces map[string]labels.Set
	// maxNodes is the ceiling of the cluster as it is written, empty for none, and ceilingMode what it does.
	maxNodes, ceilingMode string
	// templates are Karpenter's NodePools.
	templates []karpenter.NodePool
	// placeholders are our pods, by pool; read from the API server itself, since a watch that
	// lags behind our own writes would make us create twice.
	placeholders map[string][]*corev1.Pod
	// waiting is the demand of pods that ask for a node, and interrupted that on nodes which are about
	// to be taken away, in chunks; leaving are the nodes on which placeholders hold nothing any more.
	waiting, interrupted map[key]float64
	leaving              map[string]bool
	// coming are the pods that do not exist yet, but whose start is known.
	coming coming.Future
	// asked is how many nodes each pool waits for; the plans of this cycle add theirs.
	asked map[string]int64
}

func (r *Reserver) observe(ctx context.Context, pools []*v1alpha1.WarmPool) (world, error) {
	ctx, step := tracing.Step(ctx, "observe")
	defer step.End()
	w := world{pools: pools}
	var err error
	if w.Snapshot, err = r.seen(ctx); err != nil {
		return w, fmt.Errorf("observe nodes and pods: %w", err)
	}
	var namespaces corev1.NamespaceList
	if err := r.cached.List(ctx, &namespaces); err != nil {
		return w, fmt.Errorf("list namespaces: %w", err)
	}
	w.namespaces = map[string]labels.Set{}
	for i := range namespaces.Items {
		w.namespaces[namespaces.Items[i].Name] = namespaces.Items[i].Labels
		if namespaces.Items[i].Name == metav1.NamespaceSystem {
			says := namespaces.Items[i].Annotations
			w.maxNodes, w.ceilingMode = says[v1alpha1.AnnotationMaxNodes], says[v1alpha1.AnnotationCeilingMode]
		}
	}
	if w.placeholders, err = r.listPlaceholders(ctx); err != nil {
		return w, err
	}
	for _, pods := range w.placeholders {
		w.Snapshot = w.With(pods) // else their room would be taken for free while the cache is behind
	}
	w.asked = pending(w.placeholders)
	w.templates, err = karpenter.NodePools(ctx, r.live)
	return w, err
}

func (r *Reserver) listPools(ctx context.Context) ([]*v1alpha1.WarmPool, error) {
	var list v1alpha1.WarmPoolList
	if err := r.cached.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list WarmPools: %w", err)
	}
	var pools []*v1alpha1.WarmPool
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp.IsZero() {
			pools = append(pools, list.Items[i].DeepCopy())
		}
	}
	slices.SortFunc(pools, func(a, b *v1alpha1.WarmPool) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return pools, nil
}

func (r *Reserver) listPlaceholders(ctx context.Context) (map[string][]*corev1.Pod, error) {
	var list corev1.PodList
	if err := r.live.List(ctx, &list, client.InNamespace(r.options.PlaceholderNamespace), client.HasLabels{v1alpha1.LabelPool}); err != nil {
		return nil, fmt.Errorf("list placeholder pods: %w", err)
	}
	byPool := map[string][]*corev1.Pod{}
	for i := range list.Items {
		if pod := &list.Items[i]; pod.DeletionTimestamp.IsZero() && demand.IsPlaceholder(pod, pod.Namespace) {
			pool := pod.Labels[v1alpha1.LabelPool]
			byPool[pool] = append(byPool[pool], pod)
		}
	}
	return byPool, nil
}

// nodesOf are the nodes that match the pool's selector.
func (w world) nodesOf(c demand.Class) []*corev1.Node {
	var nodes []*corev1.Node
	for _, node := range w.Nodes {
		if c.Nodes.Matches(labels.Set(node.Labels)) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// companions weighs the other pods on a placeholder's node.
func (w world) companions(pod *corev1.Pod, placeholderNamespace string) int64 {
	var weight int64
	if pod.Spec.NodeName == "" {
		return 0
	}
	for _, other := range w.PodsOn(pod.Spec.NodeName) {
		switch {
		case other.UID == pod.UID:
		case demand.IsPlaceholder(other, placeholderNamespace):
			weight++
		case room.IsReal(other, placeholderNamespace):
			weight += capacity.RealWeight
		}
	}
	return weight
}
