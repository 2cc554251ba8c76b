package reserver

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
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
