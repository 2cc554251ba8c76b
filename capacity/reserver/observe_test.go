package reserver

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
)

func TestNodeTemplateMayMatch(t *testing.T) {
	template := templateOf(unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "a100"},
		"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"team": "ml"}},
			"spec": map[string]any{"requirements": []any{
				map[string]any{"key": "zone", "operator": "In", "values": []any{"a", "b"}},
			}},
		}},
	}})
	tests := map[string]struct {
		selector string
		want     bool
	}{
		"name of the node pool":          {"karpenter.sh/nodepool=a100", true},
		"another node pool":              {"karpenter.sh/nodepool=h100", false},
		"label of the template":          {"team=ml", true},
		"other value of that label":      {"team=web", false},
		"one of the choices":             {"zone=b", true},
		"none of the choices":            {"zone=c", false},
		"label nobody writes":            {"color=blue", false},
		"absence of a label":             {"!color", true},
		"filled in by the cloud":         {"topology.kubernetes.io/zone=x", true},
		"two requirements, one not met":  {"team=ml,color=blue", false},
		"two requirements, both may fit": {"team=ml,zone in (b,c)", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := labels.Parse(test.selector)
			if err != nil {
				t.Fatal(err)
			}
			if got := template.mayMatch(s); got != test.want {
				t.Errorf("mayMatch(%s) = %v, want %v", test.selector, got, test.want)
			}
		})
	}
}

func TestAChunkOfNothingIsToldByItsField(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Demand.Resource = gpu
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single", Requests: corev1.ResourceList{gpu: resource.MustParse("0.0")}, WaitCostPerHour: "1", IdleCostPerHour: "1"}}
	if _, err := chunksOf(pool); err == nil || err.Error() != "spec.chunks[0].requests: "+gpu+" must be greater than zero" {
		t.Errorf("got %v", err)
	}
}

func TestHorizonReachesOneIntervalBeyondTheLeadTime(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Forecast.Interval = metav1.Duration{Duration: time.Minute}
	want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 210 * time.Second}
	if diff := cmp.Diff(want, horizonOf(pool, 150*time.Second)); diff != "" {
		t.Errorf("horizon (-want +got):\n%s", diff)
	}
	pool.Spec.Forecast.Interval = metav1.Duration{Duration: time.Second}
	if n := len(horizonOf(pool, 2*time.Hour)); n > maxHorizonSteps+1 {
		t.Errorf("%d steps, want at most %d", n, maxHorizonSteps+1)
	}
}

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
	if !ofChunk(pod, chunk) || ofChunk(pod, other) {
		t.Error("a placeholder is of its own chunk, and not of one that asks for something else")
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
