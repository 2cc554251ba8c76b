package integration

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
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
	// One of a Namespace where somebody is admin, who may edit this one.
	elsewhere := e.editor(t, "owner", "system:serviceaccount:mine:ci")
	if err := webhookDenied(elsewhere.Create(ctx, forged.DeepCopy()), "ReplicaSet owner/forged", "Deployment web controls it"); err != nil {
		t.Errorf("create as a ServiceAccount of another Namespace: %v", err)
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

// keepsLabels: the ReplicaSet that the Deployment has made is taken from it by no tenant.
func (e *totalsEnv) keepsLabels(t *testing.T, namespace string, deployment types.UID) {
	t.Helper()
	ctx := t.Context()
	tenant := e.editor(t, namespace, "tenant")
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
	cluster.Eventually(t, webhookWait, func() error { // the API server may still be compiling
		if err := webhookDenied(tenant.Patch(ctx, relabelled.DeepCopy(), client.MergeFrom(made), client.DryRunAll), "ReplicaSet "+namespace+"/"+made.Name, refused); err != nil {
			return fmt.Errorf("relabel: %w", err)
		}
		return nil
	})
	relabelled = made.DeepCopy()
	relabelled.Labels = map[string]string{"app": "mine"}
	if err := webhookDenied(tenant.Status().Patch(ctx, relabelled, client.MergeFrom(made)), refused); err != nil {
		t.Errorf("relabel with a status: %v", err)
	}
	released := made.DeepCopy()
	released.OwnerReferences = nil
	if err := webhookDenied(tenant.Patch(ctx, released, client.MergeFrom(made)), refused); err != nil {
		t.Errorf("release: %v", err)
	}
}

// editor is a client of somebody who may do with the ReplicaSets of a Namespace what the role edit lets him.
func (e *totalsEnv) editor(t *testing.T, namespace, user string) client.Client {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: user}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"replicasets", "replicasets/status"}, Verbs: []string{"*"}}}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := e.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	return e.as(t, user)
}

// as is a client that acts as somebody else.
func (e *totalsEnv) as(t *testing.T, user string) client.Client {
	t.Helper()
	config := e.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	c, err := client.New(config, client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
