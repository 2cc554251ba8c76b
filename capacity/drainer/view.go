package drainer

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
)

// goingNode is a node to be drained.
type goingNode struct {
	node *corev1.Node
	// since is when it was first seen to go.
	since time.Time
	// notice is how long it stays from then on; zero where that is not known.
	notice time.Duration
}

// drains tells whether a pool asks for nodes to be drained at all.
func drains(pool v1alpha1.WarmPool) bool {
	i := pool.Spec.Interruption
	return pool.Spec.Mode.Acts() && i != nil && i.Drain != v1alpha1.DrainNever && i.Drain != ""
}

// sortNodes finds the nodes of pools that ask for it which are about to be taken away, and those that
// we have cordoned and which stay after all.
func sortNodes(pools []v1alpha1.WarmPool, nodes []corev1.Node) (going []goingNode, back []*corev1.Node) {
	for i := range nodes {
		node := &nodes[i]
		if _, ours := node.Annotations[v1alpha1.AnnotationInterruptedAt]; ours && !demand.Interrupted(node) {
			back = append(back, node)
			continue
		}
		if !demand.Interrupted(node) {
			continue
		}
		notice, drained := demand.Notice(node)
		if slices.ContainsFunc(pools, func(p v1alpha1.WarmPool) bool {
			return drains(p) && (!drained || p.Spec.Interruption.Drain == v1alpha1.DrainAlways) && selects(p, node)
		}) {
			going = append(going, goingNode{node: node, notice: notice})
		}
	}
	slices.SortFunc(going, func(a, b goingNode) int { return cmp.Compare(a.node.Name, b.node.Name) })
	return going, back
}

func selects(pool v1alpha1.WarmPool, node *corev1.Node) bool {
	class, err := demand.Compile(&pool)
	return err == nil && class.Nodes.Matches(labels.Set(node.Labels))
}

// view is what one cycle sees.
type view struct {
	snapshot.Snapshot
	placeholders string // their namespace
	named        map[string]*corev1.Pod
}

// spare is how long before the end of the notice a pod is gone at the latest.
const spare = 5 * time.Second

// pods are those that can be evicted, the highest priority first.
func (v *view) pods(going []goingNode) []capacity.GoingPod {
	v.named = map[string]*corev1.Pod{}
	var found []*corev1.Pod
	deadlines := map[string]time.Time{}
	for _, g := range going {
		for _, pod := range v.PodsOn(g.node.Name) {
			if v.evictable(pod) {
				found = append(found, pod)
			}
		}
		if g.notice > 0 {
			deadlines[g.node.Name] = g.since.Add(g.notice - spare)
		}
	}
	slices.SortStableFunc(found, func(a, b *corev1.Pod) int { return cmp.Compare(priorityOf(b), priorityOf(a)) })
	var pods []capacity.GoingPod
	for _, pod := range found {
		name := pod.Namespace + "/" + pod.Name
		v.named[name] = pod
		one := capacity.GoingPod{
			Name: name, Requests: quantity.OfPod(pod), Priority: priorityOf(pod), Critical: pod.Annotations[v1alpha1.AnnotationCritical] == "true", MayRun: v.MayRun(pod),
		}
		if at, ok := deadlines[pod.Spec.NodeName]; ok {
			one.Deadline = at.Add(-graceOf(pod))
		}
		pods = append(pods, one)
	}
	return pods
}

// evictable tells pods that a drain evicts: not those of DaemonSets, of the kubelet itself, and
// placeholders, which the plan sees to.
func (v *view) evictable(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return pod.DeletionTimestamp.IsZero() && !mirror && (owner == nil || owner.Kind != "DaemonSet") && !demand.IsPlaceholder(pod, v.placeholders)
}

func priorityOf(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

func graceOf(pod *corev1.Pod) time.Duration {
	if pod.Spec.TerminationGracePeriodSeconds == nil {
		return 0
	}
	return time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
}

// rooms are the nodes that stay, with what is free there and what running placeholders hold, less
// what has been promised.
func (v *view) rooms(promised []promise) []capacity.HeldNode {
	var nodes []capacity.HeldNode
	for _, node := range v.Nodes {
		if demand.Leaving(node) || !ready(node) {
			continue
		}
		n := capacity.HeldNode{Name: node.Name, Room: quantity.Of(node.Status.Allocatable)}
		for _, pod := range v.PodsOn(node.Name) {
			requests := quantity.OfPod(pod)
			n.Room = n.Room.Minus(requests)
			if demand.IsPlaceholder(pod, v.placeholders) && placeholder.StageOf(pod) == capacity.Reserved {
				n.Held = append(n.Held, capacity.HeldChunk{Pod: pod.Name, Requests: requests, Priority: placeholder.Priority(pod)})
			}
		}
		for _, p := range promised {
			if p.Node == node.Name {
				n.Room = n.Room.Minus(p.Pod.Requests)
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func ready(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}
