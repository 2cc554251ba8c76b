package integration

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// autoscalerTotal: of 10 others hold 6, so that an HPA of at least 8 gets 4, and what they give back.
func autoscalerTotal(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	others := e.sharing(t, "shared", 2)
	if err := e.Client.Create(ctx, autoscalerOf("shared", 8)); err != nil {
		t.Fatal(err)
	}
	hpa := e.eventually(t, "shared", 4, "9", 4)
	if *hpa.Spec.MinReplicas != 4 {
		t.Errorf("minReplicas %d, want 4", *hpa.Spec.MinReplicas)
	}
	e.calm(t, "shared", 4)
	if err := webhookScale(ctx, e.Client, others, 4); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, "shared", 6, "9", 6)
	if err := webhookDenied(webhookScale(ctx, e.Client, others, 5), "5 replicas asked for, 6 used by others"); err != nil {
		t.Errorf("a person beside it: %v", err)
	}
	if err := webhookScale(ctx, e.Client, others, 0); err != nil {
		t.Fatal(err)
	}
	if hpa := e.eventually(t, "shared", 9, "", 8); *hpa.Spec.MinReplicas != 8 {
		t.Errorf("minReplicas %d once all that it asks for is left, want 8", *hpa.Spec.MinReplicas)
	}
}

// autoscalerTotalWanted: its bounds are let alone until it asks for more than there is.
func autoscalerTotalWanted(t *testing.T, e *webhookEnv) {
	e.sharing(t, "wanted", 3)
	if err := e.Client.Create(t.Context(), autoscalerOf("wanted", 1)); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, "wanted", 9, "", 3)
	e.queue(t, "wanted", 8)
	e.eventually(t, "wanted", 4, "9", 4)
	e.calm(t, "wanted", 4)
	if err := e.limited(t.Context(), "wanted"); err != nil {
		t.Error(err)
	}
	e.queue(t, "wanted", 2)
	e.eventually(t, "wanted", 4, "9", 2)
}

// sharing makes a namespace with a total of 10, of which others hold 6, and a Deployment with as much work as it has
// replicas. It returns the others.
func (e *webhookEnv) sharing(t *testing.T, namespace string, replicas int64) *unstructured.Unstructured {
	t.Helper()
	ctx := t.Context()
	e.autoscaled(t, namespace, replicas)
	others := webhookWorkload("Deployment", namespace, "others", 6, "")
	if err := e.Client.Create(ctx, others); err != nil {
		t.Fatal(err)
	}
	namespaced := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}}}
	if err := e.Client.Patch(ctx, namespaced, twinPatch(fmt.Sprintf(`{"metadata":{"annotations":{%q:"10"}}}`, totalReplicas))); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, 2*webhookWait, func() error {
		l := &v1alpha1.Ledger{}
		if err := e.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "namespace." + namespace}, l); err != nil {
			return err
		}
		if !l.Data.Complete || l.Data.Standing.Replicas != 6+replicas {
			return fmt.Errorf("the ledger is %+v, want %d", l.Data, 6+replicas)
		}
		return nil
	})
	return others
}

// calm watches that an HPA stays where it is, and that ten rounds of its controller say nothing; what the last round
// before did may still be told of at first.
func (e *webhookEnv) calm(t *testing.T, namespace string, replicas int32) {
	t.Helper()
	cluster.Eventually(t, webhookWait, func() error {
		before := e.events(t, namespace)
		e.steady(t, namespace, replicas, replicas)
		if after := e.events(t, namespace); after != before {
			return fmt.Errorf("events within %s:\n%s\nbefore:\n%s", autoscalerWindow, after, before)
		}
		return nil
	})
	if told := e.events(t, namespace); strings.Contains(told, "FailedRescale") {
		t.Errorf("events, want the autoscaler never refused:\n%s", told)
	}
}
