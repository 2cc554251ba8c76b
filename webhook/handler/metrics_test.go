package handler

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"forewarm.dev/webhook"
)

// TestHeldBack: which kinds are held back, and by which way they came; what is let through is not counted, nor told
// apart by a kind that nobody knows.
func TestHeldBack(t *testing.T) {
	grown := func(group, resource string) string { return scaleReview(group, resource, "7", 1, 9) }
	namespace := func(object string) string {
		return by("jane", review(`{"uid":"r1","kind":{"group":"","version":"v1","kind":"Namespace"},"resource":{"group":"","version":"v1","resource":"namespaces"},"name":"team","operation":"UPDATE",
			"object":{"metadata":{"name":"team"`+object+`}},"oldObject":{"metadata":{"name":"team","annotations":{"forewarm.dev/max-replicas":"5"}}}}`))
	}
	cached := append(team(ceilingOf("5")), metadataOf("apps/v1", "Deployment", "team/web", "7", nil))
	w := newWorld(t, cached, metadataOf("example.com/v1", "Thing", "team/web", "7", nil))
	for _, body := range []string{
		grown("apps", "deployments"), grown("apps", "deployments"), grown("example.com", "things"), scaleReview("apps", "deployments", "7", 1, 5),
		deploymentReview("CREATE", `{"metadata":{"name":"web"},"spec":{"replicas":9}}`, ""),
		deploymentReview("UPDATE", `{"metadata":{"name":"web"},"spec":{"replicas":9}}`, `{"metadata":{"name":"web"},"spec":{"replicas":3}}`),
		namespace(""), namespace(`,"annotations":{"forewarm.dev/max-replicas":"4"}`),
	} {
		answer(t, post(w.ceilings, body))
	}
	answer(t, post(w.clamps, by("hpa", grown("apps", "deployments"))))
	answer(t, post(w.clamps, horizontalReview(horizontalOf("api", 9, "", 0), "")))
	want := `
# HELP forewarm_webhook_held_back_total Admission reviews of writes that got less than they asked for, or would have in the mode enforce.
# TYPE forewarm_webhook_held_back_total counter
forewarm_webhook_held_back_total{operation="create",reason="AboveCeiling",resource="deployments.apps",verdict="Deny"} 1
forewarm_webhook_held_back_total{operation="create",reason="Clamped",resource="horizontalpodautoscalers.autoscaling",verdict="Allow"} 1
forewarm_webhook_held_back_total{operation="scale",reason="AboveCeiling",resource="deployments.apps",verdict="Deny"} 2
forewarm_webhook_held_back_total{operation="scale",reason="AboveCeiling",resource="other",verdict="Deny"} 1
forewarm_webhook_held_back_total{operation="scale",reason="Clamped",resource="deployments.apps",verdict="Allow"} 1
forewarm_webhook_held_back_total{operation="update",reason="AboveCeiling",resource="deployments.apps",verdict="Deny"} 1
forewarm_webhook_held_back_total{operation="update",reason="NotPermitted",resource="namespaces",verdict="Deny"} 1
`
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "forewarm_webhook_held_back_total"); err != nil {
		t.Error(err)
	}
	told := newWorld(t, append(team(map[string]string{webhook.MaxReplicas: "5", webhook.CeilingMode: "audit"}), cached[2]))
	answer(t, post(told.ceilings, grown("apps", "deployments")))
	if n, err := testutil.GatherAndCount(told.registry, "forewarm_webhook_held_back_total"); n != 1 || err != nil {
		t.Errorf("%d series of what a mode lets through (%v), want one", n, err)
	}
}
