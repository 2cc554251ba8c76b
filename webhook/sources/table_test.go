package sources

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/internal/config"
	"forewarm.dev/webhook"
)

// TestTable: a kind of one's own answers for what it controls where it says so, and one of the table that is counted
// otherwise goes on doing what else it did.
func TestTable(t *testing.T) {
	table, err := Table([]config.WebhookKind{
		{Group: "example.com", Version: "v1", Resource: "farms", Kind: "Farm", Count: "spec.size=1", Controls: true},
		{Group: "example.com", Version: "v1", Resource: "herds", Kind: "Herd", Count: "spec.size=1"},
		{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Count: "spec.replicas=1 * @example.com/each=1"},
		{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers", Kind: "HorizontalPodAutoscaler", Count: "spec.maxReplicas=0"},
		{Group: "serving.knative.dev", Version: "v1", Resource: "services", Kind: "Service", Count: "spec.max=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	kinds := Index(table)
	type traits struct {
		Vouches, Counted bool
		Surge            []string
		Target           string
		Measure          webhook.Measure
	}
	for resource, want := range map[metav1.GroupResource]traits{
		{Group: "example.com", Resource: "farms"}:                    {Vouches: true, Counted: true, Measure: webhook.Replicas},
		{Group: "example.com", Resource: "herds"}:                    {Counted: true, Measure: webhook.Replicas},
		{Group: "apps", Resource: "deployments"}:                     {Vouches: true, Counted: true, Surge: []string{"spec.strategy.rollingUpdate.maxSurge"}, Measure: webhook.Replicas},
		{Group: "autoscaling", Resource: "horizontalpodautoscalers"}: {Target: "spec.scaleTargetRef", Measure: webhook.Replicas},
		{Group: "serving.knative.dev", Resource: "services"}:         {Measure: webhook.Replicas},
	} {
		k := kinds[resource]
		if diff := cmp.Diff(want, traits{k.Vouches, k.Counted(), k.Surge, k.Target, k.Measure}); diff != "" {
			t.Errorf("%s:\n%s", resource.Resource, diff)
		}
	}
	if got, want := len(table), len(webhook.Kinds())+2; got != want {
		t.Errorf("%d kinds, want %d", got, want)
	}
}
