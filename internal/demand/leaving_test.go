package demand

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLeaving(t *testing.T) {
	now := metav1.Now()
	tainted := func(key string) corev1.Node {
		return corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: key}}}}
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
		"it is off":             {tainted("node.cloudprovider.kubernetes.io/shutdown"), true, true},
		"it is out of service":  {tainted("node.kubernetes.io/out-of-service"), true, true},
	} {
		if leaving, interrupted := Leaving(&c.node), Interrupted(&c.node); leaving != c.leaving || interrupted != c.interrupted {
			t.Errorf("%s: leaving %t, interrupted %t; want %t, %t", name, leaving, interrupted, c.leaving, c.interrupted)
		}
	}
}
