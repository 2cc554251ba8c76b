package handler

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook"
)

// TestInstanceTypes: NodePools are held to their own list and the cluster's, NodeClaims to those
// of their NodePool and of the cluster.
func TestInstanceTypes(t *testing.T) {
	listed := func(value string) map[string]string { return map[string]string{webhook.AllowedInstanceTypes: value} }
	requires := func(types string) string {
		return `"requirements":[{"key":"node.kubernetes.io/instance-type","operator":"In","values":["` + types + `"]}]`
	}
	pool := func(annotations, types string) string {
		return fmt.Sprintf(`{"metadata":{"name":"a100"%s},"spec":{"template":{"spec":{%s}}}}`, annotations, types)
	}
	claim := func(pool, types string) string {
		return fmt.Sprintf(`{"metadata":{"name":"n","labels":{"karpenter.sh/nodepool":%q}},"spec":{%s}}`, pool, types)
	}
	own := `,"annotations":{"forewarm.dev/allowed-instance-types":"g5.*"}`
	ask := func(resource, operation, object, old string) string {
		if old != "" {
			old = `,"oldObject":` + old
		}
		return review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"karpenter.sh","version":"v1","kind":"X"},"resource":{"group":"karpenter.sh","version":"v1","resource":%q},
			"name":"a100","operation":%q,"object":%s%s}`, resource, operation, object, old))
	}
	for name, c := range map[string]struct{ body, says string }{
		"a NodePool within":            {ask("nodepools", "CREATE", pool(own, requires("g5.xlarge")), ""), ""},
		"above its own list":           {ask("nodepools", "CREATE", pool(own, requires("m5.large")), ""), "on NodePool a100"},
		"above the cluster's":          {ask("nodepools", "CREATE", pool("", requires("p4d.24xlarge")), ""), "on Namespace kube-system"},
		"of any type":                  {ask("nodepools", "CREATE", pool("", ""), ""), "every instance type"},
		"widened":                      {ask("nodepools", "UPDATE", pool("", requires(`m5.large","p4d.24xlarge`)), pool("", requires("m5.large"))), "p4d.24xlarge"},
		"was so before":                {ask("nodepools", "UPDATE", pool("", requires("p4d.24xlarge")), pool("", requires(`p4d.24xlarge","m5.large`))), ""},
		"list and types in one write":  {ask("nodepools", "UPDATE", pool(`,"annotations":{"forewarm.dev/allowed-instance-types":"g5.xlarge"}`, requires("m5.large")), pool(own, requires("g5.xlarge"))), "on NodePool a100"},
		"a list that cannot be read":   {ask("nodepools", "CREATE", pool(`,"annotations":{"forewarm.dev/allowed-instance-types":"("}`, requires("m5.large")), ""), "write for example"},
		"a NodeClaim within":           {ask("nodeclaims", "CREATE", claim("a100", requires("g5.xlarge")), ""), ""},
		"a NodeClaim not of its pool":  {ask("nodeclaims", "CREATE", claim("a100", requires("m5.large")), ""), "on NodePool a100"},
		"a NodeClaim of no known pool": {ask("nodeclaims", "CREATE", claim("other", requires("p4d.24xlarge")), ""), "on Namespace kube-system"},
	} {
		t.Run(name, func(t *testing.T) {
			system := metadataOf("v1", "Namespace", metav1.NamespaceSystem, "1", listed("m5.*, g5.*"))
			w := newWorld(t, []client.Object{system}, metadataOf("karpenter.sh/v1", "NodePool", "a100", "1", listed("g5.*")))
			h := w.ceilings
			if strings.Contains(c.body, `"nodeclaims"`) {
				h, _ = w.totals(t)
			}
			got := answer(t, post(h, c.body))
			if got.Allowed != (c.says == "") || !got.Allowed && !strings.Contains(got.Result.Message, c.says) {
				t.Errorf("allowed %t, %+v; want refused with %q", got.Allowed, got.Result, c.says)
			}
		})
	}
}
