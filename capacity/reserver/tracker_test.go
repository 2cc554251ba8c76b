package reserver

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/room"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
)

const gpu = "nvidia.com/gpu"

func gpuPod(name string, gpus string, edit ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", UID: types.UID(name)},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{gpu: resource.MustParse(gpus)},
		}}}},
	}
	for _, e := range edit {
		e(pod)
	}
	return pod
}

func classFor(pool string, priority int32, namespaces labels.Selector) class {
	return class{
		Class:  demand.Class{Pool: pool, Priority: priority, Resource: gpu, Namespaces: namespaces, Pods: labels.Everything()},
		chunks: []capacity.Chunk{{Name: "node", Requests: quantity.Vector{gpu: 8}}, {Name: "single", Requests: quantity.Vector{gpu: 1}}},
	}
}

func TestTrackerCountsOnlyWhatAsksForCapacityNow(t *testing.T) {
	tests := map[string]struct {
		pod  *corev1.Pod
		want float64
	}{
		"pending pod":  {gpuPod("p", "2"), 2},
		"running pod":  {gpuPod("p", "1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), 1},
		"finished pod": {gpuPod("p", "1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), 0},
		"gated pod":    {gpuPod("p", "1", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "x"}} }), 0},
		"placeholder": {gpuPod("p", "1", func(p *corev1.Pod) {
			p.Namespace, p.Spec.PriorityClassName = "hold", v1alpha1.PlaceholderPriorityClass
			p.Labels = map[string]string{v1alpha1.LabelPool: "a"}
		}), 0},
		"other namespace": {gpuPod("p", "1", func(p *corev1.Pod) { p.Namespace = "other" }), 0},
		"no GPU":          {gpuPod("p", "0"), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := newTracker("hold", -10)
			tr.rebuild([]class{classFor("a", 0, labels.SelectorFromSet(labels.Set{"gpu": "yes"}))},
				map[string]labels.Set{"team": {"gpu": "yes"}, "hold": {"gpu": "yes"}}, []*corev1.Pod{test.pod})
			if got, _ := tr.take(key{"a", "single"}, true); got != test.want {
				t.Errorf("demand = %v, want %v", got, test.want)
			}
		})
	}
}

// TestWhatFitsNoNodeIsNoDemand while it waits: neither of now, nor waiting, nor of a peak. One
// that runs, wherever, counts.
func TestWhatFitsNoNodeIsNoDemand(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Name, pool.Spec.Demand.Resource = "a100", gpu
	node := takeoverNode("n", false)[0].(*corev1.Node)
	taken, err := snapshot.Take(t.Context(), fake.NewClientBuilder().WithObjects(node).Build())
	if err != nil {
		t.Fatal(err)
	}
	waits := func(p *corev1.Pod) {
		p.Spec.Priority = new(int32(-10))
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	}
	own := classFor(pool.Name, 0, labels.Everything())
	own.Nodes = labels.Everything()
	own.fitting = room.NewFitting(taken, pool, own.Class, nil)
	fits, large, runs := gpuPod("fits", "8", waits), gpuPod("large", "16", waits), gpuPod("runs", "16", func(p *corev1.Pod) { p.Spec.NodeName = "n" })
	tr, all := newTracker("hold", -10), []*corev1.Pod{fits, large, runs}
	tr.rebuild([]class{own}, nil, all)
	k := key{pool.Name, "node"}
	if current, peak := tr.take(k, true); current != 1+2 || peak != 1+2 {
		t.Errorf("demand %v, peak %v; want 3, without that which fits no node", current, peak)
	}
	if waiting := tr.sum(all, unschedulable)[k]; waiting != 1 {
		t.Errorf("%v wait, want 1", waiting)
	}
	if !tr.observe(large) || !tr.observe(fits) {
		t.Error("that room is made is not tried, although a node may have come since")
	}
	if tr.poolOf("large") != pool.Name || !tr.fitsNone("large") || tr.fitsNone("fits") || tr.fitsNone("gone") {
		t.Error("it is not known which pod fits no node of which pool")
	}
	if _, amount, ok := tr.wouldBe(gpuPod("next", "16")); !ok || amount != 0 {
		t.Errorf("one that does not exist yet would be %v, want none", amount)
	}
	elsewhere := func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"test": "nowhere"} }
	if _, amount, ok := tr.wouldBe(gpuPod("next", "8", elsewhere)); !ok || amount != 1 {
		t.Errorf("one whose selector may still change would be %v, want 1", amount)
	}
}

func TestTrackerKeepsThePeakBetweenTwoTakes(t *testing.T) {
	tr := newTracker("hold", -10)
	tr.rebuild([]class{classFor("a", 0, labels.Everything())}, nil, nil)
	k := key{"a", "node"}
	for _, name := range []string{"one", "two", "three"} {
		tr.observe(gpuPod(name, "8"))
	}
	tr.observe(gpuPod("one", "8")) // an update counts once
	tr.forget("two")
	tr.forget("two")
	for _, ended := range []bool{false, true} {
		if current, peak := tr.take(k, ended); current != 2 || peak != 3 {
			t.Errorf("current %v peak %v, want 2 3", current, peak)
		}
	}
	if current, peak := tr.take(k, true); current != 2 || peak != 2 {
		t.Errorf("after the first take: current %v peak %v, want 2 2", current, peak)
	}
}

func TestAPodBelongsToOnePool(t *testing.T) {
	classes := []class{classFor("low", 1, labels.Everything()), classFor("high-b", 9, labels.Everything()), classFor("high-a", 9, labels.Everything())}
	name := func(pool string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationPool: pool} }
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"highest priority, then name": {gpuPod("p", "1"), "high-a"},
		"the one it names":            {gpuPod("p", "1", name("low")), "low"},
		"names one that is not there": {gpuPod("p", "1", name("gone")), "high-a"},
	}
	for label, test := range tests {
		t.Run(label, func(t *testing.T) {
			tr := newTracker("hold", -10)
			tr.rebuild(classes, nil, []*corev1.Pod{test.pod})
			for _, c := range classes {
				want := 0.0
				if c.Pool == test.want {
					want = 1
				}
				if got, _ := tr.take(key{c.Pool, "single"}, true); got != want {
					t.Errorf("demand of %s = %v, want %v", c.Pool, got, want)
				}
			}
		})
	}
}
