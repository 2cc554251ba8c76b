package reserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/price"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
)

// TestNodes: the smallest one counts, without its DaemonSets' share, and is remembered; what a chunk costs is
// its share of what is left of a node.
func TestNodes(t *testing.T) {
	node := func(name string, gpus int64) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.Allocatable = corev1.ResourceList{gpu: *resource.NewQuantity(gpus, resource.DecimalSI)}
		return n
	}
	daemon := gpuPod("exporter", "1")
	daemon.Spec.NodeName = "small"
	daemon.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Controller: new(true)}}
	work := gpuPod("work", "3")
	work.Spec.NodeName = "small"
	small, large := node("small", 8), node("large", 16)
	small.Annotations = map[string]string{v1alpha1.AnnotationPricePerHour: "21"}
	r := &Reserver{options: Options{Prices: price.New(price.Options{Registerer: prometheus.NewRegistry()})}}
	taken, err := snapshot.Take(t.Context(), fake.NewClientBuilder().WithObjects(small, large, daemon, work).Build())
	if err != nil {
		t.Fatal(err)
	}
	pool := &v1alpha1.WarmPool{Status: v1alpha1.WarmPoolStatus{Chunks: []v1alpha1.ChunkStatus{{Name: "single", PerNode: 4}, {Name: "node", PerNode: 1}}}}
	for name, c := range map[string]struct {
		nodes []*corev1.Node
		want  []int64
		cost  float64
	}{
		"no node, but there were": {nil, []int64{4, 1}, 5},
		"two sizes":               {[]*corev1.Node{large, small}, []int64{7, 2}, 3},
	} {
		seen := sight{nodes: c.nodes, limits: capacity.Limits{Chunks: []capacity.Chunk{
			{Name: "single", Requests: quantity.Vector{gpu: 1}, IdleCostPerHour: 5}, {Name: "node", Requests: quantity.Vector{gpu: 8}},
		}}}
		r.setNodes(world{Snapshot: taken}, pool, &seen)
		if got := seen.limits.Chunks[0].IdleCostPerHour; got != c.cost || len(seen.prices) != 2 {
			t.Errorf("%s: a single costs %v, want %v; status %v", name, got, c.cost, seen.prices)
		}
		for i, want := range c.want {
			if got := seen.limits.Chunks[i].PerNode; got != want {
				t.Errorf("%s: %d of %s per node, want %d", name, got, seen.limits.Chunks[i].Name, want)
			}
		}
	}
}

// TestWaitingPodsAreThoseWithoutRoom: neither what the scheduler has not tried nor a preemptor.
func TestWaitingPodsAreThoseWithoutRoom(t *testing.T) {
	pods := []*corev1.Pod{gpuPod("untried", "1"), gpuPod("waits", "2"), gpuPod("preempts", "1"), gpuPod("runs", "1")}
	for _, pod := range pods[1:] {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	}
	pods[2].Status.NominatedNodeName = "n"
	pods[3].Spec.NodeName = "n"
	tracker := newTracker("hold", -10)
	tracker.rebuild([]class{classFor("a100", 0, labels.Everything())}, map[string]labels.Set{"team": nil}, pods)
	got := tracker.sum(pods, unschedulable)
	if diff := cmp.Diff(map[key]float64{{"a100", "single"}: 2}, got, cmp.AllowUnexported(key{})); diff != "" {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
}
