package demand

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// signal is a taint by which somebody says that a node will go.
type signal struct {
	taint string
	// replaced: who wrote it has seen to the pods there, so that nothing need be bought for them.
	replaced bool
}

// signals of termination. A new one is a row here.
var signals = []signal{
	// Karpenter buys for the pods of a node that it disrupts before these go.
	{"karpenter.sh/disrupted", true},
	// Cluster Autoscaler has found other room for the pods of a node that it removes.
	{"ToBeDeletedByClusterAutoscaler", true},
	// AWS Node Termination Handler: two minutes before a spot node goes, earlier for the others.
	{"aws-node-termination-handler/spot-itn", false},
	{"aws-node-termination-handler/scheduled-maintenance", false},
	{"aws-node-termination-handler/asg-lifecycle-termination", false},
	{"aws-node-termination-handler/rebalance-recommendation", false},
	// AKS node auto-drain, for the events Redeploy, Preempt and Terminate: 30 seconds for a spot node.
	{"remediator.kubernetes.azure.com/unschedulable", false},
	{"remediator.aks.microsoft.com/unschedulable", false},
	// GKE: 30 seconds.
	{"cloud.google.com/impending-node-termination", false},
	// Kubernetes: the machine is off, or an admin says that it will not come back.
	{"node.cloudprovider.kubernetes.io/shutdown", false},
	{corev1.TaintNodeOutOfService, false},
}

// Leaving tells whether a node is about to be taken away, or takes no pods.
func Leaving(node *corev1.Node) bool {
	return node.Spec.Unschedulable || !node.DeletionTimestamp.IsZero() || signalled(node, func(signal) bool { return true })
}

// Interrupted tells whether a node is about to be taken away, and nobody has seen to its pods.
func Interrupted(node *corev1.Node) bool {
	return signalled(node, func(s signal) bool { return !s.replaced })
}

func signalled(node *corev1.Node, of func(signal) bool) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(taint corev1.Taint) bool {
		return slices.ContainsFunc(signals, func(s signal) bool { return s.taint == taint.Key && of(s) })
	})
}
