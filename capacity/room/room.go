// Package room tells what room nodes have for the placeholders of a pool.
package room

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"

	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
)

// Usable tells whether pods can be placed on a node, now and for a while.
func Usable(node *corev1.Node) bool {
	if demand.Leaving(node) {
		return false
	}
	ready := func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	return slices.ContainsFunc(node.Status.Conditions, ready)
}

// Free is the free room of each usable node that takes pods with some tolerations, and of those that run a real
// pod. A node without one is about to be taken away by the autoscaler: only a placeholder on it keeps it.
func Free(s snapshot.Snapshot, nodes []*corev1.Node, tolerations []corev1.Toleration, placeholderNamespace string) (all, inUse []quantity.Vector) {
	for _, node := range nodes {
		if !Usable(node) || !takes(node, tolerations) {
			continue
		}
		pods := s.PodsOn(node.Name)
		free := quantity.Of(node.Status.Allocatable).MinusPods(pods)
		all = append(all, free)
		if slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return IsReal(pod, placeholderNamespace) }) {
			inUse = append(inUse, free)
		}
	}
	return all, inUse
}

// startupTaints are those, by how their keys begin, that a node carries until it is set up: who waits for the node
// has it soon.
var startupTaints = []string{
	"node.kubernetes.io/not-ready", "node.cloudprovider.kubernetes.io/uninitialized", "karpenter.sh/unregistered",
	"startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/",
	"node.cilium.io/agent-not-ready", "ebs.csi.aws.com/agent-not-ready", "efs.csi.aws.com/agent-not-ready",
}

func startup(taint *corev1.Taint) bool {
	return slices.ContainsFunc(startupTaints, func(begin string) bool { return strings.HasPrefix(taint.Key, begin) })
}

// takes tells whether no taint keeps pods with some tolerations off a node for longer than it starts.
func takes(node *corev1.Node, tolerations []corev1.Toleration) bool {
	_, untolerated := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, tolerations, func(taint *corev1.Taint) bool {
		return taint.Effect != corev1.TaintEffectPreferNoSchedule && !startup(taint)
	}, false)
	return !untolerated
}

// Empty is what a node offers beside the pods of DaemonSets.
func Empty(s snapshot.Snapshot, node *corev1.Node) quantity.Vector {
	var daemons []*corev1.Pod
	for _, pod := range s.PodsOn(node.Name) {
		if ofDaemonSet(pod) {
			daemons = append(daemons, pod)
		}
	}
	return quantity.Of(node.Status.Allocatable).MinusPods(daemons)
}

// IsReal tells whether a pod keeps its node in use: neither a placeholder nor of a DaemonSet.
func IsReal(pod *corev1.Pod, placeholderNamespace string) bool {
	return !demand.IsPlaceholder(pod, placeholderNamespace) && !ofDaemonSet(pod)
}

func ofDaemonSet(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "DaemonSet"
}
