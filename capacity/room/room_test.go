package room

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/internal/snapshot"
)

const gpu = "nvidia.com/gpu"

func node(name string, edit ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.Allocatable = corev1.ResourceList{gpu: resource.MustParse("8"), corev1.ResourcePods: resource.MustParse("110")}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	for _, e := range edit {
		e(n)
	}
	return n
}

func tainted(key string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
}

func pod(name, on, gpus string, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name)}}
	p.Spec.NodeName = on
	p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{gpu: resource.MustParse(gpus)}}}}
	for _, e := range edit {
		e(p)
	}
	return p
}

func take(t *testing.T, objects ...client.Object) snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Take(t.Context(), fake.NewClientBuilder().WithObjects(objects...).Build())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFreeRoom counts where placeholders can be placed, and as theirs to save where a real pod keeps the node.
func TestFreeRoom(t *testing.T) {
	daemon := func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Controller: new(true)}}
	}
	for name, c := range map[string]struct {
		node       *corev1.Node
		pod        *corev1.Pod
		all, inUse []int64
	}{
		"in use":                   {node("a"), pod("p", "a", "3"), []int64{5}, []int64{5}},
		"not in use":               {node("a"), pod("p", "a", "1", daemon), []int64{7}, nil},
		"cordoned":                 {node("a", func(n *corev1.Node) { n.Spec.Unschedulable = true }), pod("p", "a", "3"), nil, nil},
		"not ready":                {node("a", func(n *corev1.Node) { n.Status.Conditions = nil }), pod("p", "a", "3"), nil, nil},
		"under maintenance":        {node("a", tainted("maintenance", corev1.TaintEffectNoSchedule)), pod("p", "a", "3"), nil, nil},
		"its pods are put off":     {node("a", tainted("maintenance", corev1.TaintEffectNoExecute)), pod("p", "a", "3"), nil, nil},
		"better not":               {node("a", tainted("maintenance", corev1.TaintEffectPreferNoSchedule)), pod("p", "a", "3"), []int64{5}, []int64{5}},
		"the pool's own taint":     {node("a", tainted(gpu, corev1.TaintEffectNoSchedule)), pod("p", "a", "3"), []int64{5}, []int64{5}},
		"it starts":                {node("a", tainted("startup-taint.cluster-autoscaler.kubernetes.io/gpu", corev1.TaintEffectNoSchedule)), pod("p", "a", "3"), []int64{5}, []int64{5}},
		"it starts, for Karpenter": {node("a", tainted("karpenter.sh/unregistered", corev1.TaintEffectNoExecute)), pod("p", "a", "3"), []int64{5}, []int64{5}},
	} {
		s := take(t, c.node, c.pod)
		all, inUse := Free(s, s.Nodes, []corev1.Toleration{{Key: gpu, Operator: corev1.TolerationOpExists}}, "hold")
		var gotAll, gotInUse []int64
		for _, room := range all {
			gotAll = append(gotAll, room[gpu])
		}
		for _, room := range inUse {
			gotInUse = append(gotInUse, room[gpu])
		}
		if diff := cmp.Diff([][]int64{c.all, c.inUse}, [][]int64{gotAll, gotInUse}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
