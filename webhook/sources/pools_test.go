package sources

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook"
)

// TestNoPools: a cluster without the CRD has none.
func TestNoPools(t *testing.T) {
	if pools, err := NewPools(nil, NewLastGood(), logr.Discard()).List(t.Context()); err != nil || pools != nil {
		t.Errorf("without the CRD: %v, %v; want none", pools, err)
	}
}

// TestPoolsAreConvertedOnce: a pool is converted again when it has changed, and only then.
func TestPoolsAreConvertedOnce(t *testing.T) {
	pools := NewPools(nil, NewLastGood(), logr.Discard())
	a := v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "1"}, Spec: v1alpha1.WarmPoolSpec{Priority: 1}}
	b := v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "b", ResourceVersion: "1"}, Spec: v1alpha1.WarmPoolSpec{Priority: 2}}
	step := func(what string, found []v1alpha1.WarmPool, want map[string]int32) {
		t.Helper()
		got := map[string]int32{}
		for _, pool := range pools.convert(found) {
			got[pool.Name] = pool.Priority
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	step("at first", []v1alpha1.WarmPool{a, b}, map[string]int32{"a": 1, "b": 2})
	a.Spec.Priority = 5
	step("in another order, of the same versions", []v1alpha1.WarmPool{b, a}, map[string]int32{"a": 1, "b": 2})
	a.ResourceVersion = "2"
	step("one is changed", []v1alpha1.WarmPool{a, b}, map[string]int32{"a": 5, "b": 2})
	b.ResourceVersion, b.DeletionTimestamp = "2", &metav1.Time{}
	step("one is being deleted", []v1alpha1.WarmPool{a, b}, map[string]int32{"a": 5})
	step("none is left", nil, map[string]int32{})
	b.DeletionTimestamp = nil
	step("one is back", []v1alpha1.WarmPool{b}, map[string]int32{"b": 2})
}

// TestConvertPool: what a pool says of its nodes, and what stands ready on them.
func TestConvertPool(t *testing.T) {
	chunk := func(name, cost string, gpus int64) v1alpha1.Chunk {
		return v1alpha1.Chunk{Name: name, IdleCostPerHour: cost, Requests: corev1.ResourceList{"nvidia.com/gpu": *resource.NewQuantity(gpus, resource.DecimalSI)}}
	}
	p := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	p.Spec.Demand.Resource = "nvidia.com/gpu"
	p.Spec.Nodes.Selector = metav1.LabelSelector{
		MatchLabels:      map[string]string{"b": "2", "a": "1"},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "c", Operator: metav1.LabelSelectorOpDoesNotExist}},
	}
	p.Spec.Chunks = []v1alpha1.Chunk{chunk("node", "24.5", 8), chunk("single", "3", 1), chunk("free", "", 2)}
	p.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "node", Reserved: 2}, {Name: "single", Pending: 4}, {Name: "free", Reserved: 1}, {Name: "gone", Reserved: 9}}
	got, ok := convertPool(p)
	if !ok {
		t.Fatal("not converted")
	}
	wantNodes := []corev1.NodeSelectorRequirement{
		{Key: "a", Operator: corev1.NodeSelectorOpIn, Values: []string{"1"}},
		{Key: "b", Operator: corev1.NodeSelectorOpIn, Values: []string{"2"}},
		{Key: "c", Operator: corev1.NodeSelectorOpDoesNotExist},
	}
	if diff := cmp.Diff(wantNodes, got.Nodes); diff != "" {
		t.Errorf("nodes:\n%s", diff)
	}
	wantWarm := []webhook.WarmChunk{{Requests: quantity.Vector{"nvidia.com/gpu": 8}, CostPerHour: 24.5}, {Requests: quantity.Vector{"nvidia.com/gpu": 2}}}
	if diff := cmp.Diff(wantWarm, got.Warm); diff != "" {
		t.Errorf("warm chunks:\n%s", diff)
	}
	p.DeletionTimestamp = &metav1.Time{}
	if _, ok := convertPool(p); ok {
		t.Error("a pool that is being deleted takes pods")
	}
}
