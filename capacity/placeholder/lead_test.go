package placeholder

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// ungatedPod is a placeholder that was ungated at a time, and runs on a node since another.
func ungatedPod(node string, ungated, running time.Time) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationUngatedAt: ungated.Format(time.RFC3339Nano)}}}
	pod.Spec.NodeName = node
	if !running.IsZero() {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(running)}}
	}
	return pod
}

func TestWaitsCountNewNodesAndWhatHasNone(t *testing.T) {
	start := time.Date(2026, 11, 29, 9, 0, 0, 500_000_000, time.UTC)
	second := func(n int) time.Time { return start.Truncate(time.Second).Add(time.Duration(n) * time.Second) }
	node := func(name string, made time.Time) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(made)}}
	}
	nodes := []*corev1.Node{node("old", second(-60)), node("same-second", second(0)), node("new", second(40))}
	placeholders := []*corev1.Pod{
		ungatedPod("old", start, second(1)),           // room that was there
		ungatedPod("old", start, time.Time{}),         // starting on it
		ungatedPod("same-second", start, second(30)),  // made after it was asked for, in the same second
		ungatedPod("new", start, second(90)),          // runs
		ungatedPod("new", second(20), time.Time{}),    // bound there, not running yet
		ungatedPod("", second(20), time.Time{}),       // of the same batch
		ungatedPod("", second(50), time.Time{}),       // a later batch
		ungatedPod("another-pool", start, second(90)), // a node that is not of this pool
		{}, // never ungated by us
	}
	came, waiting := waits(placeholders, nodes, second(100))
	want := []capacity.LeadSample{
		{Node: "same-second", At: second(30), Took: 29500 * time.Millisecond},
		{Node: "new", At: second(90), Took: 89500 * time.Millisecond},
	}
	if diff := cmp.Diff(want, came); diff != "" {
		t.Errorf("nodes that came (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]time.Duration{80 * time.Second, 50 * time.Second}, waiting); diff != "" {
		t.Errorf("batches that wait (-want +got):\n%s", diff)
	}
}

func TestLeadTimeSurvivesTheLeaderAndTheSpecWins(t *testing.T) {
	start := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Sizing.LeadTime = v1alpha1.Auto
	for i := range 6 {
		name := string(rune('a' + i))
		made := start.Add(time.Duration(i) * time.Hour)
		nodes := []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(made.Add(time.Minute))}}}
		e, known := LeadTime(pool, []*corev1.Pod{ungatedPod(name, made, made.Add(90*time.Second))}, nodes, made.Add(2*time.Minute))
		pool.Status.LeadTime = LeadTimeStatus(e, known)
	}
	if got := pool.Status.LeadTime; got.Source != "Learned" || got.Used.Duration != 90*time.Second || len(got.Recent) != 6 {
		t.Errorf("learned %+v", got)
	}
	pool.Spec.Sizing.LeadTime = "7m"
	if e, known := LeadTime(pool, nil, nil, start); e.Used != 7*time.Minute || e.Source != capacity.LeadSet || e.P95 != 90*time.Second || len(known.Recent) != 6 {
		t.Errorf("with a lead time in the spec: %+v", e)
	}
	pool.Spec.Sizing.LeadTime, pool.Status.LeadTime = v1alpha1.Auto, nil
	if e, _ := LeadTime(pool, []*corev1.Pod{ungatedPod("", start, time.Time{})}, nil, start.Add(30*time.Hour)); e.Used != longestLeadTime {
		t.Errorf("a node that never comes: %+v, want at most %s", e, longestLeadTime)
	}
}
