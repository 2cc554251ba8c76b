package webhook

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Names by which Forewarm's own pods are known.
const (
	PlaceholderNamespace     = "forewarm-placeholders"
	PlaceholderPriorityClass = "forewarm-placeholder" // of tier 0; those of the other tiers begin with it
)

// untouched leaves alone what must not change: a mirror pod equals the kubelet's file, and
// a placeholder's shape is the reserver's.
func untouched(r Request, d *draft) bool {
	if r.Pod == nil {
		return d.finish(Allow, ReasonNothingToDo, "")
	}
	if _, mirror := r.Pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return d.finish(Allow, ReasonMirrorPod, "")
	}
	if r.Object.Namespace == PlaceholderNamespace || isPlaceholderClass(r.Pod.Spec.PriorityClassName) {
		return d.finish(Allow, ReasonPlaceholder, "")
	}
	return false
}

func isPlaceholderClass(name string) bool {
	tier, is := strings.CutPrefix(name, PlaceholderPriorityClass)
	return is && (tier == "" || len(tier) == 2 && tier[0] == '-' && '1' <= tier[1] && tier[1] <= '9')
}
