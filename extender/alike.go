package extender

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"

	"forewarm.dev/internal/quantity"
)

// Alike tells whether the same nodes and the same room would do for two pods that are simple, and
// whether the scheduler ranks them the same.
func Alike(a, b *corev1.Pod) bool {
	s, t := &a.Spec, &b.Spec
	return corev1helpers.PodPriority(a) == corev1helpers.PodPriority(b) && s.SchedulerName == t.SchedulerName &&
		equality.Semantic.DeepEqual(s.PreemptionPolicy, t.PreemptionPolicy) &&
		equality.Semantic.DeepEqual(s.NodeSelector, t.NodeSelector) &&
		equality.Semantic.DeepEqual(s.Affinity, t.Affinity) &&
		equality.Semantic.DeepEqual(s.Tolerations, t.Tolerations) &&
		maps.Equal(quantity.OfPod(a), quantity.OfPod(b))
}

// Simple tells whether a pod is plain, comes one by one, and has no volume that ties it to a node.
func Simple(pod *corev1.Pod) bool {
	return Plain(pod) && pod.Spec.SchedulingGroup == nil && len(pod.Spec.SchedulingGates) == 0 && !Tied(pod)
}

// Tied tells whether a pod has a volume that is attached to its node, or can be used on one alone.
func Tied(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		s := v.VolumeSource
		return s.ConfigMap == nil && s.Secret == nil && s.EmptyDir == nil && s.Projected == nil && s.DownwardAPI == nil && s.HostPath == nil
	})
}

// Untried tells whether the scheduler has said nothing of a pod yet.
func Untried(pod *corev1.Pod) bool {
	return pod.Status.NominatedNodeName == "" && !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse
	})
}

// Unschedulable is what the scheduler says of a pod that it has found no room for; nil if it does not.
func Unschedulable(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return c
		}
	}
	return nil
}

// Plain tells whether a pod fits wherever its requests fit, as far as other pods go.
func Plain(pod *corev1.Pod) bool {
	a := pod.Spec.Affinity
	if a != nil && (a.PodAffinity != nil || a.PodAntiAffinity != nil) || len(pod.Spec.ResourceClaims) > 0 {
		return false
	}
	if slices.ContainsFunc(pod.Spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
		return c.WhenUnsatisfiable == corev1.DoNotSchedule
	}) {
		return false
	}
	hostPort := func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.HostPort != 0 })
	}
	return !pod.Spec.HostNetwork && !slices.ContainsFunc(pod.Spec.Containers, hostPort) && !slices.ContainsFunc(pod.Spec.InitContainers, hostPort)
}
