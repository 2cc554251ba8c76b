package placeholder

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// spread has the placeholders of a chunk spread over zones as far as nodes allow: a zone without any must
// not keep the others from having them.
func spread(pool *v1alpha1.WarmPool, chunk *v1alpha1.Chunk) []corev1.TopologySpreadConstraint {
	if pool.Spec.Nodes.Zones == nil {
		return nil
	}
	return []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: pool.Spec.Nodes.Zones.Key, WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelPool: pool.Name, v1alpha1.LabelChunk: chunk.Name}},
	}}
}

// Zone is the zone that a placeholder was ungated into; empty for none.
func Zone(pool *v1alpha1.WarmPool, pod *corev1.Pod) string {
	if pool.Spec.Nodes.Zones == nil {
		return ""
	}
	return pod.Spec.NodeSelector[pool.Spec.Nodes.Zones.Key]
}

// Ungated is when the gate of a placeholder was removed; false if it was not.
func Ungated(pod *corev1.Pod) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339Nano, pod.Annotations[v1alpha1.AnnotationUngatedAt])
	return at, err == nil
}

// Overdue tells that a placeholder was ungated into a zone, and has waited for a node there for longer than
// nodes of the pool take.
func Overdue(pool *v1alpha1.WarmPool, pod *corev1.Pod, now time.Time) bool {
	if Zone(pool, pod) == "" || pod.Spec.NodeName != "" || StageOf(pod) != capacity.Pending {
		return false
	}
	at, ok := Ungated(pod)
	return ok && now.Sub(at) > Patience(pool, remembered(pool))
}

// NotOverdue are the placeholders that are not.
func NotOverdue(pool *v1alpha1.WarmPool, placeholders []*corev1.Pod, now time.Time) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(placeholders), func(pod *corev1.Pod) bool { return Overdue(pool, pod, now) })
}
