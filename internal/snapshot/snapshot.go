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
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

// Take lists nodes and pods from a reader that is backed by informers.
func Take(ctx context.Context, reader client.Reader) (Snapshot, error) {
	var nodes corev1.NodeList
	if err := reader.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return Snapshot{}, fmt.Errorf("list nodes: %w", err)
	}
	var pods corev1.PodList
	if err := reader.List(ctx, &pods, client.UnsafeDisableDeepCopy); err != nil {
		return Snapshot{}, fmt.Errorf("list pods: %w", err)
	}
	s := Snapshot{byNode: map[string][]*corev1.Pod{}}
	for i := range nodes.Items {
		s.Nodes = append(s.Nodes, &nodes.Items[i])
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; !ended(pod) {
			s.Pods = append(s.Pods, pod)
		}
	}
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
	return s, nil
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

// MayRun tells whether labels and taints of the node with a name allow a pod.
func (s Snapshot) MayRun(pod *corev1.Pod) func(name string) bool {
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	return func(name string) bool {
		node := s.Node(name)
		if node == nil {
			return false
		}
		if matches, err := affinity.Match(node); err != nil || !matches {
			return false
		}
		_, untolerated := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations,
			func(taint *corev1.Taint) bool { return taint.Effect != corev1.TaintEffectPreferNoSchedule }, false)
		return !untolerated
	}
}
