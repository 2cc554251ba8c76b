package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// capacityDrain: a critical pod runs on a node that is told to go, by somebody who does not drain it.
// Room for it stands elsewhere, but a PodDisruptionBudget holds it first.
func capacityDrain(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.grant(t, "drainer.yaml", authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "eviction"})
	e.patch(t, loopName, `{"spec":{"interruption":{"drain":"IfNobodyDoes"}}}`)
	labels := map[string]string{"app": "serving"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{v1alpha1.AnnotationCritical: "true"}}}
	template.Spec = loopPod("", "", 8, map[string]string{"karpenter.sh/nodepool": "warm"}).Spec
	serving := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "serving"}}
	serving.Spec = appsv1.DeploymentSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "serving"}}
	budget.Spec = policyv1.PodDisruptionBudgetSpec{MinAvailable: new(intstr.FromInt32(1)), Selector: serving.Spec.Selector}
	e.create(t, budget)
	e.create(t, serving)
	e.available(t, serving)
	first := e.podOf(t, labels)
	taint := func(taints string) {
		t.Helper()
		body := `{"spec":{"taints":` + taints + `}}`
		if err := e.Client.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: first.Spec.NodeName}}, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
			t.Fatal(err)
		}
	}
	taint(`[{"key":"cloud.google.com/impending-node-termination","effect":"NoSchedule"}]`)
	reserver := e.processes["reserver"]
	cluster.Eventually(t, loopWait, func() error {
		node := &corev1.Node{}
		if err := e.Client.Get(ctx, client.ObjectKey{Name: first.Spec.NodeName}, node); err != nil {
			return err
		}
		if !node.Spec.Unschedulable || node.Annotations[v1alpha1.AnnotationInterruptedAt] == "" {
			return fmt.Errorf("node %s is not cordoned", node.Name)
		}
		if out := e.scrape(t, reserver)["forewarm_capacity_evictions_total"]; out == 0 {
			return fmt.Errorf("no eviction was tried")
		}
		return nil
	})
	if now := e.podOf(t, labels); now.UID != first.UID || !now.DeletionTimestamp.IsZero() {
		t.Errorf("pod %s was evicted past its PodDisruptionBudget", first.Name)
	}
	if err := e.Client.Delete(ctx, budget); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	cluster.Eventually(t, loopWait, func() error {
		if now := e.podOf(t, labels); now.UID == first.UID || now.Status.Phase != corev1.PodRunning || now.Spec.NodeName == first.Spec.NodeName {
			return fmt.Errorf("pod %s is %s on %q", now.Name, now.Status.Phase, now.Spec.NodeName)
		}
		return nil
	})
	t.Logf("evicted and running elsewhere %s after nothing held it any more", time.Since(started).Round(10*time.Millisecond))
	if !e.told(t, v1alpha1.ReasonNodeGoes, corev1.EventTypeNormal, "is about to be taken away; room for this pod: ") {
		t.Error("no event tells the pod why")
	}
	for _, body := range []string{`{"spec":{"taints":[]}}`, `{"metadata":{"labels":{"karpenter.sh/nodepool":"other"}}}`, `{"metadata":{"annotations":{"team/note":"x"}}}`} {
		err := e.as(t, v1alpha1.SystemNamespace, "forewarm-reserver").Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: first.Spec.NodeName}}, client.RawPatch(types.MergePatchType, []byte(body)))
		if err == nil || !strings.Contains(err.Error(), "and nothing else") {
			t.Errorf("the reserver's account may do %s to a node: %v", body, err)
		}
	}
	taint(`[]`)
	cluster.Eventually(t, loopWait, func() error {
		node := &corev1.Node{}
		if err := e.Client.Get(ctx, client.ObjectKey{Name: first.Spec.NodeName}, node); err != nil {
			return err
		}
		if node.Spec.Unschedulable {
			return fmt.Errorf("node %s, which stays, is still cordoned", node.Name)
		}
		return nil
	})
}

// podOf is the one pod with these labels that does not end.
func (e *loopEnv) podOf(t *testing.T, labels map[string]string) corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := e.Client.List(t.Context(), &list, client.InNamespace("ml"), client.MatchingLabels(labels)); err != nil {
		t.Fatal(err)
	}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp.IsZero() {
			return pod
		}
	}
	return corev1.Pod{}
}
