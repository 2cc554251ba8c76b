package reserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
)

func TestPlaceholderIsGatedHarmlessAndBounded(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Name = "a100"
	pool.Spec.Demand.Resource = gpu
	pool.Spec.Nodes.Selector = metav1.LabelSelector{
		MatchLabels:      map[string]string{"karpenter.sh/nodepool": "a100"},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"c"}}},
	}
	chunk := &v1alpha1.Chunk{Name: "single", Requests: gpuPod("p", "1").Spec.Containers[0].Resources.Requests}
	pod := placeholder.New(pool, chunk, "hold", "pause")

	other := chunk.DeepCopy()
	other.Requests = gpuPod("p", "2").Spec.Containers[0].Resources.Requests
	later := chunk.DeepCopy()
	later.Tier = 2
	if !ofChunk(pod, chunk) || ofChunk(pod, other) || ofChunk(pod, later) || !ofChunk(placeholder.New(pool, later, "hold", "pause"), later) {
		t.Error("a placeholder is of its own chunk, and not of one that asks for something else or is of another tier")
	}
	if stage := placeholder.StageOf(pod); stage != capacity.Gated {
		t.Errorf("stage %v, want gated", stage)
	}
	if *pod.Spec.TerminationGracePeriodSeconds != 0 || *pod.Spec.ActiveDeadlineSeconds != 86400 || *pod.Spec.AutomountServiceAccountToken {
		t.Error("want no grace period, a deadline of a day and no token")
	}
	if diff := cmp.Diff(pool.Spec.Nodes.Selector.MatchLabels, pod.Spec.NodeSelector); diff != "" {
		t.Errorf("node selector (-want +got):\n%s", diff)
	}
	if got := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions[0]; got.Operator != corev1.NodeSelectorOpNotIn {
		t.Errorf("affinity %v", got)
	}
	if diff := cmp.Diff(chunk.Requests, pod.Spec.Containers[0].Resources.Limits); diff != "" {
		t.Errorf("GPU limits must equal the requests (-want +got):\n%s", diff)
	}
	if len(pod.Spec.Tolerations) != 1 || pod.Spec.Tolerations[0].Key != gpu {
		t.Errorf("tolerations %v, want that of the GPU taint", pod.Spec.Tolerations)
	}
}
