package audit

import (
	"maps"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
)

const gpu = "nvidia.com/gpu"

func pod(namespace, name, node string) *corev1.Pod {
	asks := corev1.ResourceList{gpu: resource.MustParse("1")}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Requests: asks}}}
	return p
}

func placeholder(name, node string) *corev1.Pod {
	p := pod("hold", name, node)
	p.Labels, p.Spec.PriorityClassName = map[string]string{v1alpha1.LabelPool: "a100"}, v1alpha1.PlaceholderPriorityClass
	return p
}

func byNode(object client.Object) []string { return []string{object.(*corev1.Pod).Spec.NodeName} }

// TestAuditRepairsWhatTheWatchLost: an event that never came, of each kind.
func TestAuditRepairsWhatTheWatchLost(t *testing.T) {
	x := handler.NewIndex("hold")
	for _, name := range []string{"n", "other"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		node.Status.Allocatable = corev1.ResourceList{gpu: resource.MustParse("8")}
		x.SetNode(node)
	}
	ended, moved, gone, stays := pod("ml", "ended", "n"), placeholder("moved", ""), pod("ml", "gone", "other"), pod("ml", "stays", "n")
	for _, p := range []*corev1.Pod{ended, moved, gone, stays} {
		x.SetPod(p)
	}
	ended, moved = ended.DeepCopy(), moved.DeepCopy()
	ended.Status.Phase, moved.Spec.NodeName = corev1.PodSucceeded, "n"
	reader := fake.NewClientBuilder().WithIndex(&corev1.Pod{}, "spec.nodeName", byNode).
		WithObjects(pod("ml", "unseen", "n"), ended, moved, stays).Build()
	registry := prometheus.NewRegistry()
	a := &Auditor{Index: x, Reader: reader, Metrics: handler.NewMetrics(x, registry), Log: logr.Discard()}
	for range 2 { // the second has nothing to do
		if err := a.Audit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string][]types.UID{}
	for _, name := range []string{"n", "other"} {
		got[name] = slices.Sorted(maps.Keys(x.PodsOn(name)))
	}
	if diff := cmp.Diff(map[string][]types.UID{"n": {"moved", "stays", "unseen"}, "other": nil}, got); diff != "" {
		t.Errorf("pods on nodes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"missing": 1, "stale": 1, "gone": 2}, repairs(t, registry)); diff != "" {
		t.Errorf("repairs (-want +got):\n%s", diff)
	}
}

func repairs(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "forewarm_extender_repairs_total" {
				counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return counts
}
