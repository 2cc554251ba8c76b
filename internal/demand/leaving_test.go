package demand

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLeaving(t *testing.T) {
	now := metav1.Now()
	tainted := func(key string) corev1.Node {
		return corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: key}}}}
	}
	conditioned := func(name corev1.NodeConditionType, status corev1.ConditionStatus) corev1.Node {
		return corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}, {Type: name, Status: status}}}}
	}
	silent := func(effect corev1.TaintEffect) corev1.Node {
		return corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: corev1.TaintNodeUnreachable, Effect: effect}}}}
	}
	for name, c := range map[string]struct {
		node                 corev1.Node
		leaving, interrupted bool
	}{
		"it stays":              {corev1.Node{}, false, false},
		"a taint of GPUs":       {tainted(gpu), false, false},
		"a candidate only":      {tainted("DeletionCandidateOfClusterAutoscaler"), false, false},
		"cordoned":              {corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true}}, true, false},
		"deleted":               {corev1.Node{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}, true, false},
		"Karpenter disrupts it": {tainted("karpenter.sh/disrupted"), true, false},
		"removed by CA":         {tainted("ToBeDeletedByClusterAutoscaler"), true, false},
		"AWS takes it back":     {tainted("aws-node-termination-handler/spot-itn"), true, true},
		"AWS may take it back":  {tainted("aws-node-termination-handler/rebalance-recommendation"), true, true},
		"AWS maintains it":      {tainted("aws-node-termination-handler/scheduled-maintenance"), true, true},
		"its group shrinks":     {tainted("aws-node-termination-handler/asg-lifecycle-termination"), true, true},
		"AKS drains it":         {tainted("remediator.kubernetes.azure.com/unschedulable"), true, true},
		"AKS, formerly":         {tainted("remediator.aks.microsoft.com/unschedulable"), true, true},
		"GKE takes it back":     {tainted("cloud.google.com/impending-node-termination"), true, true},
		"Azure takes it back":   {tainted("cloudprovider.azure.microsoft.com/draining"), true, true},
		"AKS will take it back": {conditioned("PreemptScheduled", corev1.ConditionTrue), true, true},
		"AKS says so anew":      {conditioned("PreemptionScheduled", corev1.ConditionTrue), true, true},
		"AKS will delete it":    {conditioned("TerminateScheduled", corev1.ConditionTrue), true, true},
		"AKS will move it":      {conditioned("RedeployScheduled", corev1.ConditionTrue), true, true},
		"AKS will not":          {conditioned("PreemptScheduled", corev1.ConditionFalse), false, false},
		"AKS does not know":     {conditioned("PreemptScheduled", corev1.ConditionUnknown), false, false},
		"AKS freezes it":        {conditioned("FreezeScheduled", corev1.ConditionTrue), false, false},
		"its kernel hangs":      {conditioned("KernelDeadlock", corev1.ConditionTrue), false, false},
		"it is silent":          {silent(corev1.TaintEffectNoExecute), true, false},
		"it has just gone":      {silent(corev1.TaintEffectNoSchedule), false, false},
		"it starts":             {tainted(corev1.TaintNodeNotReady), false, false},
		"it is off":             {tainted("node.cloudprovider.kubernetes.io/shutdown"), true, true},
		"it is out of service":  {tainted("node.kubernetes.io/out-of-service"), true, true},
	} {
		if leaving, interrupted := Leaving(&c.node), Interrupted(&c.node); leaving != c.leaving || interrupted != c.interrupted {
			t.Errorf("%s: leaving %t, interrupted %t; want %t, %t", name, leaving, interrupted, c.leaving, c.interrupted)
		}
	}
}

// TestBroken: a kubelet that has said for a while that it is not ready; one that is silent is another thing.
func TestBroken(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		status corev1.ConditionStatus
		ago    time.Duration
		want   bool
	}{
		"for long":   {corev1.ConditionFalse, brokenAfter + 1, true},
		"just now":   {corev1.ConditionFalse, brokenAfter, false},
		"it is well": {corev1.ConditionTrue, time.Hour, false},
		"silent":     {corev1.ConditionUnknown, time.Hour, false},
	} {
		node := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse},
			{Type: corev1.NodeReady, Status: c.status, LastTransitionTime: metav1.NewTime(now.Add(-c.ago))},
		}}}
		if got := Broken(node, now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
