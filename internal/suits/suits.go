// Package suits tells where a pod may run whatever is free there: by its node selector, node affinity and
// tolerations, and as admins have cordoned nodes.
package suits

import (
	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Misfit is why a pod may not run on a node; its zero value is that it may.
type Misfit struct{ why, taint string }

// String is a sentence for people; empty where the pod may run.
func (m Misfit) String() string { return m.why + m.taint }

// Of returns what tells of a node whether a pod may run there. It costs no memory for nodes that differ.
func Of(pod *corev1.Pod) func(node *corev1.Node) Misfit {
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	counts := func(taint *corev1.Taint) bool { return taint.Effect != corev1.TaintEffectPreferNoSchedule }
	return func(node *corev1.Node) Misfit {
		if matches, err := affinity.Match(node); err != nil || !matches {
			return Misfit{why: "the pod's node selector or node affinity does not match it"}
		}
		if node.Spec.Unschedulable && !corev1helpers.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, &cordon, false) {
			return Misfit{why: "it is cordoned"}
		}
		if taint, untolerated := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations, counts, false); untolerated {
			return Misfit{"the pod does not tolerate its taint ", taint.Key}
		}
		return Misfit{}
	}
}
