package karpenter

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

func TestNodePoolMayMatch(t *testing.T) {
	template := templateOf(unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "a100"},
		"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"team": "ml"}},
			"spec": map[string]any{"requirements": []any{
				map[string]any{"key": "zone", "operator": "In", "values": []any{"a", "b"}},
			}},
		}},
	}})
	for label, want := range map[string]string{"zone": "a b", "team": "ml", "other": ""} {
		if got := strings.Join(template.Offers(label), " "); got != want {
			t.Errorf("%s may be %q, want %q", label, got, want)
		}
	}
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
			if got := template.MayMatch(s); got != test.want {
				t.Errorf("MayMatch(%s) = %v, want %v", test.selector, got, test.want)
			}
		})
	}
}
