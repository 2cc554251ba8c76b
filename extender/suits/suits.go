// Package suits tells where a pod may go whatever is free.
package suits

import (
	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Of returns what tells of a node whether a simple pod may go there by its node selector, node affinity
// and tolerations, and why not.
func Of(pod *corev1.Pod) func(node *corev1.Node) (suits bool, why string) {
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	return func(node *corev1.Node) (bool, string) {
		if matches, err := affinity.Match(node); err != nil || !matches {
			return false, "the pod's node selector or node affinity does not match it"
		}
		cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
		if node.Spec.Unschedulable && !corev1helpers.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, &cordon, false) {
			return false, "it is cordoned"
		}
		taint, untolerated := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations,
			func(taint *corev1.Taint) bool { return taint.Effect != corev1.TaintEffectPreferNoSchedule }, false)
		if untolerated {
			return false, "the pod does not tolerate its taint " + taint.Key
		}
		return true, ""
	}
}
