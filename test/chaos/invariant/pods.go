package invariant

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// evictions: nothing but a placeholder makes way for another pod.
type evictions struct {
	name
	cheaper string
}

// Evictions holds that no real pod is told to go, by the scheduler or by an eviction. The load
// leaves room for all of its real pods, so that nothing but a mistake could want one of them gone; save
// for pods of a priority class that hold GPUs, which a scheduler may preempt where no placeholder would do
// ([Instead] holds that).
func Evictions(cheaper string) Checker { return evictions{"no-real-pod-evicted", cheaper} }

// See looks at one pod.
func (e evictions) See(c Change) []Violation {
	pod, ok := now[*corev1.Pod](c)
	if !ok || placeholder(pod) {
		return nil
	}
	reason := disrupted(pod)
	if before, had := was[*corev1.Pod](c); reason == "" || had && disrupted(before) != "" {
		return nil
	}
	if reason == corev1.PodReasonPreemptionByScheduler && pod.Spec.PriorityClassName == e.cheaper && gpusOf(&pod.Spec) > 0 {
		return nil
	}
	return e.violated(c, "pod %s on node %s was told to go: %s", key(pod), pod.Spec.NodeName, reason)
}

// disrupted is why a pod was told to go; empty if it was not.
func disrupted(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue {
			return condition.Reason
		}
	}
	return ""
}

// deadlines: no placeholder is there after its deadline.
type deadlines struct {
	name
	slack time.Duration
	ends  map[string]time.Time
}

// Deadlines holds placeholders to their deadlines, within a slack: what stands may be ended by a
// kubelet alone, which takes its time.
func Deadlines(slack time.Duration) Checker {
	return deadlines{"no-placeholder-past-its-deadline", slack, map[string]time.Time{}}
}

// See notes one placeholder's deadline.
func (d deadlines) See(c Change) []Violation {
	if pod, had := was[*corev1.Pod](c); had {
		delete(d.ends, key(pod))
	}
	pod, ok := now[*corev1.Pod](c)
	if !ok || !placeholder(pod) || ended(pod) {
		return nil
	}
	if pod.Spec.ActiveDeadlineSeconds == nil {
		return d.violated(c, "placeholder %s has no deadline", pod.Name)
	}
	if pod.Status.StartTime != nil {
		d.ends[key(pod)] = pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
	}
	return nil
}

// Look finds those that are late.
func (d deadlines) Look(now time.Time) []Violation {
	var late []Violation
	for _, id := range slices.Sorted(maps.Keys(d.ends)) {
		if over := now.Sub(d.ends[id]); over > d.slack {
			late = append(late, Violation{Invariant: d.Name(), At: now, Says: fmt.Sprintf("placeholder %s stands %s after its deadline", id, over.Round(time.Second))})
			delete(d.ends, id) // told once
		}
	}
	return late
}
