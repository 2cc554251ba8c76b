package expression

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Pod is what a pod template, or what has requests and limits like a container, asks for: of its
// containers what they reserve, and its claims. What cannot be read is left out.
func Pod(template any) *corev1.Pod {
	pod := &corev1.Pod{}
	if spec, is := (Path{"spec"}).Of(template).(map[string]any); is {
		pod.Spec.Containers, pod.Spec.InitContainers = containers(spec["containers"]), containers(spec["initContainers"])
		pod.Spec.ResourceClaims = resourceClaims(spec["resourceClaims"])
		return pod
	}
	pod.Spec.Containers = []corev1.Container{{Resources: asked(template)}}
	return pod
}

func resourceClaims(list any) []corev1.PodResourceClaim {
	members, _ := list.([]any)
	out := make([]corev1.PodResourceClaim, 0, len(members))
	for _, c := range members {
		var claim corev1.PodResourceClaim
		if name, is := Text(c, "resourceClaimTemplateName"); is {
			claim.ResourceClaimTemplateName = &name
		}
		if name, is := Text(c, "resourceClaimName"); is {
			claim.ResourceClaimName = &name
		}
		out = append(out, claim)
	}
	return out
}

func containers(list any) []corev1.Container {
	members, _ := list.([]any)
	out := make([]corev1.Container, 0, len(members))
	for _, c := range members {
		container := corev1.Container{Resources: asked((Path{"resources"}).Of(c))}
		if policy, is := Text(c, "restartPolicy"); is {
			container.RestartPolicy = new(corev1.ContainerRestartPolicy(policy))
		}
		out = append(out, container)
	}
	return out
}

// asked reads limits and requests. In a template, unlike in a pod, nobody has copied the limits
// of extended resources into the requests.
func asked(resources any) corev1.ResourceRequirements {
	out := corev1.ResourceRequirements{Requests: corev1.ResourceList{}}
	for _, field := range []string{"limits", "requests"} {
		list, _ := (Path{field}).Of(resources).(map[string]any)
		for name, raw := range list {
			if n, ok := Number(raw); ok {
				out.Requests[corev1.ResourceName(name)] = *resource.NewQuantity(n, resource.DecimalSI)
			}
		}
	}
	return out
}
