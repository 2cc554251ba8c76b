package handler

import (
	"slices"
	"testing"

	"forewarm.dev/api/v1alpha1"
)

// TestPodsMayHaveWhatTheirPoolTurnsTo: while a pool gets no nodes, another keeps capacity for its pods.
func TestPodsMayHaveWhatTheirPoolTurnsTo(t *testing.T) {
	x := cluster()
	other := warmPool(1)
	other.Name = "a10"
	other.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "a10"}
	other.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "others"}
	x.SetPool(other)
	x.SetNode(node("a10-1", "a10"))
	fits := func() bool {
		return x.Filter(pod("ml", "p", "", "1"), []string{"a10-1"})[0].Reason == ""
	}
	if fits() {
		t.Error("a pod of another class may have it")
	}
	out := warmPool(1)
	out.Status.Supply = &v1alpha1.SupplyStatus{State: "Open", Diverted: []v1alpha1.DivertedChunk{{Pool: "a10"}, {Pool: "a10"}}}
	x.SetPool(out)
	if got := x.pod(pod("ml", "p", "", "1")).Classes; !slices.Equal(got, []string{"a100", "a10"}) {
		t.Errorf("the pod is of classes %v", got)
	}
	if !fits() {
		t.Error("a pod may not have what is kept for its pool")
	}
}
