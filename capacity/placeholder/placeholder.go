// Package placeholder makes placeholder pods, and reads from them how far they have come and how long
// their nodes took.
package placeholder

import (
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// deadlineSeconds bounds what a placeholder of a dead or uninstalled Forewarm can cost.
const deadlineSeconds = 24 * 60 * 60

// New is the placeholder pod of a chunk: gated, without a grace period, among the
// first to be preempted and the cheapest to be evicted (research: the Cluster Autoscaler
// FAQ on overprovisioning; Karpenter's eviction cost).
func New(pool *v1alpha1.WarmPool, chunk *v1alpha1.Chunk, namespace, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: pool.Name + "-" + chunk.Name + "-",
			Namespace:    namespace,
			Labels:       map[string]string{v1alpha1.LabelPool: pool.Name, v1alpha1.LabelChunk: chunk.Name},
			Annotations: map[string]string{
				"cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
				"controller.kubernetes.io/pod-deletion-cost":     "-2147483647",
			},
			OwnerReferences: []metav1.OwnerReference{pool.Controller()},
		},
		Spec: corev1.PodSpec{
			SchedulingGates:               []corev1.PodSchedulingGate{{Name: v1alpha1.GatePrewarm}},
			PriorityClassName:             v1alpha1.PlaceholderClass(chunk.Tier),
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			ActiveDeadlineSeconds:         ptr.To[int64](deadlineSeconds),
			RestartPolicy:                 corev1.RestartPolicyNever,
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			NodeSelector:                  pool.Spec.Nodes.Selector.MatchLabels,
			Affinity:                      affinity(pool.Spec.Nodes.Selector.MatchExpressions),
			Tolerations:                   Tolerations(pool),
			TopologySpreadConstraints:     spread(pool, chunk),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				RunAsUser:      ptr.To[int64](65535),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:  "hold",
				Image: image,
				Resources: corev1.ResourceRequirements{
					Requests: chunk.Requests,
					Limits:   extended(chunk.Requests),
				},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					ReadOnlyRootFilesystem:   new(true),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// affinity requires the expressions of the pool's node selector; nil if there are none.
func affinity(expressions []metav1.LabelSelectorRequirement) *corev1.Affinity {
	if len(expressions) == 0 {
		return nil
	}
	var term corev1.NodeSelectorTerm
	for _, e := range expressions {
		term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{
			Key: e.Key, Operator: corev1.NodeSelectorOperator(e.Operator), Values: e.Values,
		})
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}},
	}}
}

// Tolerations are the pool's own, and that of the taint which GPU nodes usually carry.
func Tolerations(pool *v1alpha1.WarmPool) []corev1.Toleration {
	device := corev1.Toleration{Key: string(pool.Spec.Demand.Resource), Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	own := slices.Clone(pool.Spec.Nodes.Tolerations)
	if !isExtended(pool.Spec.Demand.Resource) || slices.Contains(own, device) {
		return own
	}
	return append(own, device)
}

// extended are the requests of extended resources, whose limits must equal them.
func extended(requests corev1.ResourceList) corev1.ResourceList {
	limits := corev1.ResourceList{}
	for name, amount := range requests {
		if isExtended(name) {
			limits[name] = amount
		}
	}
	return limits
}

func isExtended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.HasPrefix(string(name), "kubernetes.io/")
}

// StageOf is how far a placeholder pod has come. A placeholder that is bound but does not
// run yet still waits: on a GPU node only a running one proves that the devices are there.
func StageOf(pod *corev1.Pod) capacity.Stage {
	isGate := func(gate corev1.PodSchedulingGate) bool { return gate.Name == v1alpha1.GatePrewarm }
	switch {
	case Terminal(pod):
		return capacity.Finished
	case slices.ContainsFunc(pod.Spec.SchedulingGates, isGate):
		return capacity.Gated
	case pod.Status.Phase == corev1.PodRunning:
		return capacity.Reserved
	default:
		return capacity.Pending
	}
}

// Expires is when the kubelet ends a pod at its deadline; zero if it has not started.
func Expires(pod *corev1.Pod) time.Time {
	if pod.Status.StartTime == nil || pod.Spec.ActiveDeadlineSeconds == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Add(time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second)
}

// Priority is which pods may take a placeholder: those of a higher one. The lowest there is for one of tier
// 0, which every pod may: the reserver makes room for those that cannot preempt.
func Priority(pod *corev1.Pod) int32 {
	if pod.Spec.PriorityClassName == v1alpha1.PlaceholderPriorityClass || pod.Spec.Priority == nil {
		return math.MinInt32
	}
	return *pod.Spec.Priority
}

// Terminal tells that a pod has ended.
func Terminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
