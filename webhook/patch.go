package webhook

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Operation is one step of a JSON patch (RFC 6902): "add", which replaces a member that
// exists, or "remove", which needs one and takes no value.
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// patch turns what is wanted into the smallest patch. A patch that does not apply would
// refuse the pod even under failurePolicy Ignore, hence the care about missing parents.
func patch(r Request, d *draft) bool {
	ops := append(annotationOps(r.Pod.Annotations, d.annotations), tolerationOps(r.Pod, d.tolerations)...)
	ops = append(append(ops, affinityOps(r.Pod, d.preference)...), d.marks...)
	if len(ops) == 0 {
		return d.finish(Allow, ReasonNothingToDo, "")
	}
	d.decision.Patch = ops
	return d.finish(Allow, ReasonAnnotated, "")
}

func annotationOps(present, wanted map[string]string) []Operation {
	if len(wanted) == 0 {
		return nil
	}
	if present == nil {
		return []Operation{{Op: "add", Path: "/metadata/annotations", Value: wanted}}
	}
	var ops []Operation
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		ops = append(ops, Operation{Op: "add", Path: "/metadata/annotations/" + pointer.Replace(key), Value: wanted[key]})
	}
	return ops
}

func tolerationOps(pod *corev1.Pod, wanted []corev1.Toleration) []Operation {
	if len(wanted) == 0 {
		return nil
	}
	if pod.Spec.Tolerations == nil {
		return []Operation{{Op: "add", Path: "/spec/tolerations", Value: wanted}}
	}
	var ops []Operation
	for _, t := range wanted {
		ops = append(ops, Operation{Op: "add", Path: "/spec/tolerations/-", Value: t})
	}
	return ops
}

// affinityOps add the preference to a pod without a node affinity.
func affinityOps(pod *corev1.Pod, wanted *corev1.PreferredSchedulingTerm) []Operation {
	if wanted == nil {
		return nil
	}
	nodes := &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{*wanted}}
	if pod.Spec.Affinity == nil {
		return []Operation{{Op: "add", Path: "/spec/affinity", Value: &corev1.Affinity{NodeAffinity: nodes}}}
	}
	return []Operation{{Op: "add", Path: "/spec/affinity/nodeAffinity", Value: nodes}}
}

// pointer escapes a key for a JSON pointer (RFC 6901).
var pointer = strings.NewReplacer("~", "~0", "/", "~1")
