package integration

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// totalsGroups: the StatefulSets of a LeaderWorkerSet, one for the leading pods and one for the workers of each of
// these, which that pod controls, count with it; they come, and come back, at the total. Nobody else's does.
func totalsGroups(t *testing.T, e *totalsEnv) {
	e.counting(t, "groups", map[string]string{totalReplicas: "8"})
	ctx := t.Context()
	if err := e.ApplyFiles(ctx, filepath.Join("..", "bypass", "testdata", "crds", "leaderworkerset.x-k8s.io.yaml")); err != nil {
		t.Fatal(err)
	}
	const user = "system:serviceaccount:lws-system:lws-controller-manager"
	controller := e.having(t, "groups", user, "cluster-admin")
	set := twinObject(t, "{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {namespace: groups, name: web}, spec: {replicas: 2, leaderWorkerTemplate: {size: 4}}}")
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, set) })
	e.settled(t, "namespace.groups", v1alpha1.LedgerAmounts{Replicas: 8})
	leaders := totalsOwned("web", 2, metav1.OwnerReference{APIVersion: "leaderworkerset.x-k8s.io/v1", Kind: "LeaderWorkerSet", Name: "web", UID: set.GetUID()})
	cluster.Eventually(t, webhookWait, func() error { return controller.Create(ctx, leaders) }) // once its rights are known
	workers := map[string]*unstructured.Unstructured{}
	for _, name := range []string{"web-0", "web-1"} {
		pod := &corev1.Pod{}
		cluster.Eventually(t, webhookWait, func() error {
			return e.Client.Get(ctx, client.ObjectKey{Namespace: "groups", Name: name}, pod)
		})
		workers[name] = totalsOwned(name, 3, metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: name, UID: pod.UID})
		if err := controller.Create(ctx, workers[name].DeepCopy()); err != nil {
			t.Errorf("the workers of %s: %v", name, err)
		}
	}
	e.settled(t, "namespace.groups", v1alpha1.LedgerAmounts{Replicas: 8})
	if err := e.Client.Delete(ctx, workers["web-0"].DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := controller.Create(ctx, workers["web-0"].DeepCopy()); err != nil {
		t.Errorf("workers that come back: %v", err)
	}
	beyond, larger, other := workers["web-1"].DeepCopy(), workers["web-1"].DeepCopy(), workers["web-1"].DeepCopy()
	beyond.SetName("web-2")
	beyond.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "web-2", UID: "u", Controller: new(true)}})
	other.SetName("mine")
	for says, o := range map[string]*unstructured.Unstructured{"groups/web-2: 3 replicas asked for": beyond, "groups/mine: 3 replicas asked for": other} {
		if err := webhookDenied(controller.Create(ctx, o), says, "8 used by others"); err != nil {
			t.Error(err)
		}
	}
	if err := webhookDenied(webhookScale(ctx, e.Client, larger, 4), "groups/web-1: 4 replicas asked for"); err != nil {
		t.Errorf("larger than a group: %v", err)
	}
	e.settled(t, "namespace.groups", v1alpha1.LedgerAmounts{Replicas: 8})
}

// totalsOwned is a StatefulSet that something controls.
func totalsOwned(name string, replicas int64, by metav1.OwnerReference) *unstructured.Unstructured {
	o := webhookWorkload("StatefulSet", "groups", name, replicas, "")
	by.Controller = new(true)
	o.SetOwnerReferences([]metav1.OwnerReference{by})
	_ = unstructured.SetNestedField(o.Object, "Parallel", "spec", "podManagementPolicy")
	return o
}

// having is a client of somebody who has a ClusterRole in a Namespace.
func (e *totalsEnv) having(t *testing.T, namespace, user, role string) client.Client {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := e.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	return e.as(t, user)
}
