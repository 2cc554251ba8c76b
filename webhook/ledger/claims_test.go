package ledger

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/webhook"
)

// claimed are the claims of every Namespace.
type claimed struct{ webhook.Claims }

func (c claimed) Cached(context.Context, string, []webhook.ClaimRef) (webhook.Claims, error) {
	return c.Claims, nil
}

func (claimed) Classes(context.Context) (webhook.Classes, error) {
	return webhook.Classes{"mi300": {}, "gpu.nvidia.com": {}}, nil
}

// TestAmountsFollowClaims: what a watched workload counts for changes with what its pods' claims
// ask for.
func TestAmountsFollowClaims(t *testing.T) {
	w := &watch{kind: webhook.Kinds()[0]}
	slim, err := w.slim(&unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "team", "name": "web"},
		"spec": map[string]any{"replicas": int64(3), "template": map[string]any{"spec": map[string]any{
			"resourceClaims": []any{map[string]any{"resourceClaimTemplateName": "two"}},
		}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for want, claims := range map[webhook.Amounts]Claims{
		{Replicas: 3}:          nil,
		{Replicas: 3, GPUs: 6}: claimed{webhook.Claims{{Source: webhook.FromTemplate, Name: "two"}: {{Vendor: "nvidia", Count: 2}}}},
	} {
		got, err := newTerm(KeeperOptions{Claims: claims}, nil).amounts(t.Context(), slim.(*object))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("amounts:\n%s", diff)
		}
	}
}

// TestQuotaNames: bare pods are bound in what claims get too.
func TestQuotaNames(t *testing.T) {
	hard, err := newTerm(KeeperOptions{Claims: claimed{}}, nil).hard(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range quotaResources {
		delete(hard, corev1.ResourceName("requests."+name))
	}
	want := []corev1.ResourceName{"gpu.nvidia.com.deviceclass.resource.k8s.io/devices", "mi300.deviceclass.resource.k8s.io/devices"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(hard))); diff != "" {
		t.Errorf("names:\n%s", diff)
	}
}
