package integration

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// totalsForgedOwner: what a Deployment owns is not counted, so a person may not say of anything that
// it is, neither when it is made nor later, nor have the Deployment let go of what it owns and make it
// anew; the Deployment's own rollouts go on at the total.
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
	e.keepsLabels(t, "owner", web.GetUID())
	if err := e.Client.Patch(ctx, web, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"template":{"metadata":{"labels":{"version":"2"}}}}}`))); err != nil {
		t.Fatal(err)
	}
	e.rolled(t, "owner", 2)
}

// keepsLabels: the ReplicaSet that the Deployment has made cannot be taken from it.
func (e *totalsEnv) keepsLabels(t *testing.T, namespace string, deployment types.UID) {
	t.Helper()
	ctx := t.Context()
	made := &appsv1.ReplicaSet{}
	cluster.Eventually(t, webhookWait, func() error {
		var list appsv1.ReplicaSetList
		if err := e.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return err
		}
		for _, rs := range list.Items {
			if owner := metav1.GetControllerOf(&rs); owner != nil && owner.UID == deployment {
				made = &rs
				return nil
			}
		}
		return fmt.Errorf("%d ReplicaSets, none of the Deployment", len(list.Items))
	})
	const refused = "its controller finds it by its labels"
	relabelled := made.DeepCopy()
	relabelled.Labels = map[string]string{"app": "mine"}
	if err := webhookDenied(e.Client.Patch(ctx, relabelled, client.MergeFrom(made)), "ReplicaSet "+namespace+"/"+made.Name, refused); err != nil {
		t.Errorf("relabel: %v", err)
	}
	relabelled = made.DeepCopy()
	relabelled.Labels = map[string]string{"app": "mine"}
	if err := webhookDenied(e.Client.Status().Patch(ctx, relabelled, client.MergeFrom(made)), refused); err != nil {
		t.Errorf("relabel with a status: %v", err)
	}
	released := made.DeepCopy()
	released.OwnerReferences = nil
	if err := webhookDenied(e.Client.Patch(ctx, released, client.MergeFrom(made)), refused); err != nil {
		t.Errorf("release: %v", err)
	}
}
