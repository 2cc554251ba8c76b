package webhook

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Managed is a resource that nothing offers. A scheduler that lists it under managedResources of
// the extender asks the extender about the pods that name it, if only in quantity zero; of pods
// that get their GPUs by claims alone it would not ask otherwise.
const Managed corev1.ResourceName = "forewarm.dev/managed"

// mark has a pod name [Managed] if it gets GPUs, all of them by claims, and does not name it yet.
// Where a device plugin gives GPUs, the scheduler lists their own name.
func mark(r Request, d *draft) bool {
	if !r.MarkClaims || !d.claimsOnly || slices.ContainsFunc(r.Pod.Spec.Containers, marked) || slices.ContainsFunc(r.Pod.Spec.InitContainers, marked) {
		return false
	}
	for i, c := range r.Pod.Spec.Containers {
		if c.Name != "" {
			d.marks = marksOf(c.Resources, fmt.Sprintf("/spec/containers/%d/resources", i))
			break
		}
	}
	return false
}

func marked(c corev1.Container) bool {
	_, requested := c.Resources.Requests[Managed]
	_, limited := c.Resources.Limits[Managed]
	return requested || limited
}

// marksOf name the resource in requests and limits, which must agree. What is there stays.
func marksOf(has corev1.ResourceRequirements, path string) []Operation {
	zero := corev1.ResourceList{Managed: resource.Quantity{}}
	if has.Requests == nil && has.Limits == nil && has.Claims == nil { // nothing there, or an empty object
		return []Operation{{Op: "add", Path: path, Value: corev1.ResourceRequirements{Requests: zero, Limits: zero}}}
	}
	var ops []Operation
	for _, list := range []struct {
		path string
		has  corev1.ResourceList
	}{{path + "/limits", has.Limits}, {path + "/requests", has.Requests}} {
		if list.has == nil {
			ops = append(ops, Operation{Op: "add", Path: list.path, Value: zero})
		} else {
			ops = append(ops, Operation{Op: "add", Path: list.path + "/" + pointer.Replace(string(Managed)), Value: "0"})
		}
	}
	return ops
}
