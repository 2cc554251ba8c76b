package demand

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// signal is a taint, or a condition that is true, by which somebody says that a node will go. Whoever
// writes the condition must keep pods off the node too, else a placeholder that leaves it comes back.
type signal struct {
	taint string
	// effect is that of the taint; empty for any.
	effect    corev1.TaintEffect
	condition corev1.NodeConditionType
	// replaced: who wrote it has seen to the pods there, so that nothing need be bought for them.
	replaced bool
	// drained: who wrote it evicts the pods there, or there is nothing left to evict.
	drained bool
	// notice is how long the node stays at least; zero where that is not known.
	notice time.Duration
}

// signals of termination. A new one is a row here.
var signals = []signal{
	// Karpenter buys for the pods of a node that it disrupts before these go.
	{taint: "karpenter.sh/disrupted", replaced: true, drained: true},
	// Cluster Autoscaler has found other room for the pods of a node that it removes.
	{taint: "ToBeDeletedByClusterAutoscaler", replaced: true, drained: true},
	// AWS Node Termination Handler: two minutes before a spot node goes, earlier for the others.
	{taint: "aws-node-termination-handler/spot-itn", drained: true, notice: 2 * time.Minute},
	{taint: "aws-node-termination-handler/scheduled-maintenance", drained: true},
	{taint: "aws-node-termination-handler/asg-lifecycle-termination", drained: true},
	{taint: "aws-node-termination-handler/rebalance-recommendation", drained: true},
	// AKS node auto-drain, for the events Redeploy, Preempt and Terminate: 30 seconds for a spot node.
	{taint: "remediator.kubernetes.azure.com/unschedulable", drained: true, notice: 30 * time.Second},
	{taint: "remediator.aks.microsoft.com/unschedulable", drained: true, notice: 30 * time.Second},
	// The same events as AKS' node problem detector and Azure's cloud provider see them, which is earlier.
	{condition: "PreemptScheduled", drained: true, notice: 30 * time.Second},
	{condition: "PreemptionScheduled", drained: true, notice: 30 * time.Second},
	{condition: "TerminateScheduled", drained: true},
	{condition: "RedeployScheduled", drained: true},
	{taint: "cloudprovider.azure.microsoft.com/draining", drained: true, notice: 30 * time.Second},
	// GKE: 30 seconds; the kubelet ends the pods then, and nobody evicts them before.
	{taint: "cloud.google.com/impending-node-termination", notice: 30 * time.Second},
	// Kubernetes: the machine is off, or an admin says that it will not come back.
	{taint: "node.cloudprovider.kubernetes.io/shutdown", drained: true},
	{taint: corev1.TaintNodeOutOfService, drained: true},
	// Kubernetes: the kubelet is silent. Pods are moved after five minutes; until then the node may come back,
	// and nothing is bought for them.
	{taint: corev1.TaintNodeUnreachable, effect: corev1.TaintEffectNoExecute, replaced: true, drained: true},
}

// Leaving tells whether a node is about to be taken away, or takes no pods.
func Leaving(node *corev1.Node) bool {
	return node.Spec.Unschedulable || !node.DeletionTimestamp.IsZero() || signalled(node, func(signal) bool { return true })
}

// Interrupted tells whether a node is about to be taken away, and nobody has seen to its pods.
func Interrupted(node *corev1.Node) bool {
	return signalled(node, func(s signal) bool { return !s.replaced })
}

// Notice tells of an interrupted node how long it stays at least, zero where that is not known, and
// whether somebody else evicts its pods.
func Notice(node *corev1.Node) (notice time.Duration, drained bool) {
	for _, s := range signals {
		if s.replaced || !s.on(node) {
			continue
		}
		drained = drained || s.drained
		if s.notice > 0 && (notice == 0 || s.notice < notice) {
			notice = s.notice
		}
	}
	return notice, drained
}

// brokenAfter is how long a kubelet says that its node is not ready before that counts: it says so for seconds when it,
// or the container runtime, is restarted.
const brokenAfter = 30 * time.Second

// Broken tells of a node on which pods have run that its kubelet has said for a while that it is not ready. Kubernetes
// moves the pods there after five minutes; it may be ready again before. A node that starts says so too.
func Broken(node *corev1.Node, now time.Time) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionFalse && now.Sub(c.LastTransitionTime.Time) > brokenAfter
	})
}

func signalled(node *corev1.Node, of func(signal) bool) bool {
	return slices.ContainsFunc(signals, func(s signal) bool { return of(s) && s.on(node) })
}

// on tells whether a node carries the signal.
func (s signal) on(node *corev1.Node) bool {
	if s.condition != "" {
		return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == s.condition && c.Status == corev1.ConditionTrue
		})
	}
	return slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool {
		return taint.Key == s.taint && (s.effect == "" || s.effect == taint.Effect)
	})
}
