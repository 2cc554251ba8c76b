package reserver

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"forewarm.dev/internal/demand"
)

// hurryForNodes is how long after its last plan a pool is planned for again because of a node that
// goes: spot nodes of some clouds leave 30 seconds.
const hurryForNodes = time.Second

// watchNodes makes a pool due as soon as a node of it says that it goes, or is gone.
func (r *Reserver) watchNodes(ctx context.Context) error {
	informer, err := r.options.Informers.GetInformer(ctx, &corev1.Node{})
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) { r.nodeChanged(before.(*corev1.Node), after.(*corev1.Node)) },
		DeleteFunc: func(object any) {
			if node, ok := object.(*corev1.Node); ok && !demand.Leaving(node) {
				r.nodeGoes(node)
			}
		},
	})
	return err
}

func (r *Reserver) nodeChanged(before, after *corev1.Node) {
	if demand.Leaving(after) && !demand.Leaving(before) || demand.Interrupted(after) && !demand.Interrupted(before) {
		r.nodeGoes(after)
	}
}

func (r *Reserver) nodeGoes(node *corev1.Node) {
	for _, pool := range r.tracker.poolsOf(node) {
		r.hurry.add(hurryForNodes, pool)
		r.wake()
	}
}

// count finds, once for all pools, what is leaving, and the demand that waits or is interrupted. A
// placeholder on a node that leaves holds nothing any more, since no pod can take its place there; real
// pods on one that is about to be taken away will be back, but for those that end.
func (w *world) count(t *tracker) {
	w.leaving = map[string]bool{}
	interrupted := map[string]bool{}
	for _, node := range w.Nodes {
		if demand.Leaving(node) {
			w.leaving[node.Name] = true
			interrupted[node.Name] = demand.Interrupted(node)
		}
	}
	w.waiting = t.sum(w.Pods, unschedulable)
	w.interrupted = t.sum(w.Pods, func(pod *corev1.Pod) bool { return interrupted[pod.Spec.NodeName] && pod.DeletionTimestamp.IsZero() })
}
