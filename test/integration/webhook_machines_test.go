package integration

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// webhookByHandKind is a kind of Cluster API in both of its versions.
const webhookByHandKind = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%[1]ss.cluster.x-k8s.io"},
"spec":{"group":"cluster.x-k8s.io","scope":"Namespaced","names":{"plural":"%[1]ss","singular":"%[1]s","kind":%[2]q},"versions":[
{"name":"v1beta1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}},
{"name":"v1beta2","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`

// webhookByHand: a Machine without a controller counts with the others of its Cluster.
func webhookByHand(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	e.namespace(t, "by-hand", nil)
	for _, kind := range []string{"Cluster", "Machine"} {
		crd := &unstructured.Unstructured{}
		if err := crd.UnmarshalJSON(fmt.Appendf(nil, webhookByHandKind, strings.ToLower(kind), kind)); err != nil {
			t.Fatal(err)
		}
		if err := e.Client.Create(ctx, crd); err != nil {
			t.Fatal(err)
		}
	}
	of := func(kind, version, name string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion("cluster.x-k8s.io/" + version)
		o.SetKind(kind)
		o.SetNamespace("by-hand")
		o.SetName(name)
		return o
	}
	machine := func(version, name, owner string) *unstructured.Unstructured {
		o := of("Machine", version, name)
		o.SetLabels(map[string]string{"cluster.x-k8s.io/cluster-name": owner})
		return o
	}
	prod := of("Cluster", "v1beta2", "prod")
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, prod) })
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, machine("v1beta1", "one", "prod")) })
	e.maxNodes(t, prod, "1")
	for _, version := range []string{"v1beta1", "v1beta2"} {
		cluster.Eventually(t, webhookWait, func() error {
			return webhookDenied(e.Client.Create(ctx, machine(version, "two", "prod"), client.DryRunAll),
				"Machine by-hand/two", "2 nodes", "at most 1", "Cluster by-hand/prod")
		})
	}
	owned := machine("v1beta2", "owned", "prod")
	owned.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "MachineSet", Name: "set", UID: prod.GetUID(), Controller: new(true)}})
	for what, o := range map[string]*unstructured.Unstructured{"owned": owned, "of a Cluster without a ceiling": machine("v1beta2", "two", "test")} {
		if err := e.Client.Create(ctx, o, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	e.maxNodes(t, prod, "2")
	if err := e.Client.Create(ctx, machine("v1beta2", "two", "prod")); err != nil {
		t.Errorf("at the ceiling: %v", err)
	}
	if err := webhookDenied(e.Client.Create(ctx, machine("v1beta2", "three", "prod")), "3 nodes", "at most 2"); err != nil {
		t.Errorf("above the ceiling: %v", err)
	}
}
