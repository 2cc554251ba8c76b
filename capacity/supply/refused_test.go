package supply

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

func TestTheNewestWordDecidesWhetherNodesAreRefused(t *testing.T) {
	pool := warmPool("a100", func(p *v1alpha1.WarmPool) {
		p.Spec.Chunks = append(p.Spec.Chunks, v1alpha1.Chunk{Name: "other"})
		p.Spec.Nodes.Zones = &v1alpha1.ZoneSpread{Key: "zone"}
	})
	of := func(chunk, name, node string) *corev1.Pod {
		pod := ungated(name, node, noon.Add(-time.Hour))
		pod.Labels = map[string]string{v1alpha1.LabelChunk: chunk}
		return pod
	}
	zonal := of("single", "zonal", "")
	zonal.Spec.NodeSelector = map[string]string{"zone": "a"}
	pods := []*corev1.Pod{of("single", "first", ""), of("single", "second", ""), of("single", "has a node", "n"), of("other", "other", ""), zonal}
	event := func(of, reason string, minutesAgo int) corev1.Event {
		return corev1.Event{
			Reason: reason, Source: corev1.EventSource{Component: "cluster-autoscaler"}, InvolvedObject: corev1.ObjectReference{UID: types.UID(of), Name: of},
			LastTimestamp: metav1.NewTime(noon.Add(-time.Duration(minutesAgo) * time.Minute)),
		}
	}
	const no, yes = "NotTriggerScaleUp", "TriggeredScaleUp"
	for name, c := range map[string]struct {
		events []corev1.Event // the newest first
		want   bool
	}{
		"nothing said":                              {nil, false},
		"refused":                                   {[]corev1.Event{event("first", no, 1)}, true},
		"refused, after one was granted":            {[]corev1.Event{event("first", no, 1), event("second", yes, 2)}, true},
		"granted, after one was refused":            {[]corev1.Event{event("first", yes, 1), event("second", no, 2)}, false},
		"granted, after the same was refused":       {[]corev1.Event{event("first", yes, 1), event("first", no, 2)}, false},
		"one granted and one refused at a time":     {[]corev1.Event{event("first", yes, 1), event("second", no, 1)}, true},
		"refused long ago":                          {[]corev1.Event{event("first", no, 11)}, false},
		"refused, and has a node":                   {[]corev1.Event{event("has a node", no, 1)}, false},
		"refused in one zone":                       {[]corev1.Event{event("zonal", no, 1)}, false},
		"one of another chunk was refused":          {[]corev1.Event{event("other", no, 1)}, false},
		"one of another chunk was granted":          {[]corev1.Event{event("other", yes, 1), event("first", no, 2)}, true},
		"somebody else's was":                       {[]corev1.Event{event("nobody", no, 1)}, false},
		"refused, and the scheduler says something": {[]corev1.Event{event("first", "FailedScheduling", 0), event("first", no, 1)}, true},
	} {
		state := capacity.State{Chunks: make([]capacity.ChunkState, 2)}
		heard{events: c.events}.of(pods, nil, nil).Mark(pool, pods, noon, &state)
		if got := state.Chunks[0].Refused; got != c.want {
			t.Errorf("%s: refused %t, want %t", name, got, c.want)
		}
	}
}
