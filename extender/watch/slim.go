package watch

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// Slim keeps of watched objects what the extender looks at: a cache's transform. Of pods, where they may run,
// what they request and have, and what the scheduler says of them; of nodes, what they offer and their state.
func Slim(in any) (any, error) {
	out, err := cache.TransformStripManagedFields()(in)
	if err != nil {
		return nil, err
	}
	switch o := out.(type) {
	case *corev1.Pod:
		slimPod(o)
	case *corev1.Node:
		o.Status = corev1.NodeStatus{Allocatable: o.Status.Allocatable, Conditions: o.Status.Conditions}
	}
	return out, nil
}

func slimPod(pod *corev1.Pod) {
	delete(pod.Annotations, corev1.LastAppliedConfigAnnotation)
	slimContainers(pod.Spec.Containers)
	slimContainers(pod.Spec.InitContainers)
	pod.Spec.EphemeralContainers = nil
	s := &pod.Status
	pod.Status = corev1.PodStatus{
		Phase: s.Phase, Conditions: s.Conditions, NominatedNodeName: s.NominatedNodeName, Resize: s.Resize,
		ContainerStatuses: slimStatuses(s.ContainerStatuses), InitContainerStatuses: slimStatuses(s.InitContainerStatuses),
		Resources: s.Resources, AllocatedResources: s.AllocatedResources,
		ResourceClaimStatuses: s.ResourceClaimStatuses, ExtendedResourceClaimStatus: s.ExtendedResourceClaimStatus,
	}
}

func slimContainers(containers []corev1.Container) {
	for i := range containers {
		c := &containers[i]
		*c = corev1.Container{Name: c.Name, Ports: c.Ports, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
	}
}

// slimStatuses are those that say what a container has other than it asks for; nil for most.
func slimStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	var kept []corev1.ContainerStatus
	for i := range statuses {
		if s := &statuses[i]; s.Resources != nil || s.AllocatedResources != nil {
			kept = append(kept, corev1.ContainerStatus{Name: s.Name, Resources: s.Resources, AllocatedResources: s.AllocatedResources})
		}
	}
	return kept
}
