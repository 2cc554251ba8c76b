package placeholder

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

func TestPlaceholdersAreSpreadAsFarAsNodesAllow(t *testing.T) {
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	chunk := &v1alpha1.Chunk{Name: "single"}
	if got := New(pool, chunk, "hold", "pause").Spec.TopologySpreadConstraints; got != nil {
		t.Errorf("a pool that is not spread: %+v", got)
	}
	pool.Spec.Nodes.Zones = &v1alpha1.ZoneSpread{Key: "zone"}
	want := []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPool: "a100", v1alpha1.LabelChunk: "single"}},
	}}
	if diff := cmp.Diff(want, New(pool, chunk, "hold", "pause").Spec.TopologySpreadConstraints); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAZoneWithoutNodesSaysNothingOfOthers: who waits there in vain is overdue, and makes no lead time longer.
func TestAZoneWithoutNodesSaysNothingOfOthers(t *testing.T) {
	start := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Sizing.LeadTime = v1alpha1.Auto // five minutes, while nothing is known
	pool.Spec.Nodes.Zones = &v1alpha1.ZoneSpread{Key: "zone"}
	in := func(zone string, pod *corev1.Pod) *corev1.Pod {
		if zone != "" {
			pod.Spec.NodeSelector = map[string]string{"zone": zone}
		}
		return pod
	}
	gated := in("c", ungatedPod("", start, time.Time{}))
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.GatePrewarm}}
	for name, c := range map[string]struct {
		pod   *corev1.Pod
		after time.Duration
		want  bool
	}{
		"waits for a zone":           {in("c", ungatedPod("", start, time.Time{})), 5*time.Minute + time.Second, true},
		"not for long":               {in("c", ungatedPod("", start, time.Time{})), 5 * time.Minute, false},
		"waits for any":              {in("", ungatedPod("", start, time.Time{})), time.Hour, false},
		"has a node":                 {in("c", ungatedPod("n", start, time.Time{})), time.Hour, false},
		"is gated":                   {gated, time.Hour, false},
		"was never ungated by us":    {in("c", &corev1.Pod{}), time.Hour, false},
		"waits, and has for an hour": {in("c", ungatedPod("", start, time.Time{})), time.Hour, true},
	} {
		now := start.Add(c.after)
		if got := Overdue(pool, c.pod, now); got != c.want {
			t.Errorf("%s: overdue %t, want %t", name, got, c.want)
		}
		if rest := NotOverdue(pool, []*corev1.Pod{c.pod}, now); (len(rest) == 0) != c.want {
			t.Errorf("%s: %d are not overdue", name, len(rest))
		}
	}
	for _, zone := range []string{"c", ""} {
		_, known := LeadTime(pool, []*corev1.Pod{in(zone, ungatedPod("", start, time.Time{}))}, nil, start.Add(time.Hour))
		if (len(known.Waiting) == 0) != (zone == "c") {
			t.Errorf("in zone %q: the lead time knows of %v", zone, known.Waiting)
		}
	}
}
