package integration

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// totalsForgedOwner: what a Deployment owns is not counted, so a person may not say of anything that
// it is, neither when it is made nor later; the Deployment's own rollouts go on at the total.
func totalsForgedOwner(t *testing.T, e *totalsEnv) {
	e.counting(t, "owner", map[string]string{totalReplicas: "10"})
	ctx := t.Context()
	web, rs := webhookWorkload("Deployment", "owner", "web", 7, ""), webhookWorkload("ReplicaSet", "owner", "own", 3, "")
	if err := e.Client.Create(ctx, web); err != nil {
		t.Fatal(err)
	}
	if err := e.Client.Create(ctx, rs); err != nil {
		t.Fatal(err)
	}
	e.settled(t, "namespace.owner", v1alpha1.LedgerAmounts{Replicas: 10})
	owned := []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: web.GetUID(), Controller: new(true)}}
	forged := webhookWorkload("ReplicaSet", "owner", "forged", 7, "")
	forged.SetOwnerReferences(owned)
	if err := webhookDenied(e.Client.Create(ctx, forged), "ReplicaSet owner/forged", "Deployment web controls it"); err != nil {
		t.Errorf("create: %v", err)
	}
	before := rs.DeepCopy()
	rs.SetOwnerReferences(owned)
	if err := webhookDenied(e.Client.Patch(ctx, rs, client.MergeFrom(before)), "ReplicaSet owner/own", "Deployment web controls it"); err != nil {
		t.Errorf("adopt: %v", err)
	}
	if err := e.Client.Patch(ctx, web, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"template":{"metadata":{"labels":{"version":"2"}}}}}`))); err != nil {
		t.Fatal(err)
	}
	e.rolled(t, "owner", 2)
}
