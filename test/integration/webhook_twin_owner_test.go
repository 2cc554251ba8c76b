package integration

import (
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// twinOwners: with no webhook too, what is above a ceiling passes where a controller says that its owner, which is
// held, owns it, and not where a ServiceAccount of another Namespace says so, which may do there what a tenant may.
func twinOwners(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	const tenant, operator = "system:serviceaccount:mine:ci", "system:serviceaccount:operators:rollouts"
	e.grant(t, "twin", tenant, "edit")
	e.grant(t, "twin", operator, "cluster-admin")
	owned := twinObject(t, "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: twin, name: owned, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: x, controller: true}]}, spec: {replicas: 6, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}}")
	cluster.Eventually(t, webhookWait, func() error { // until the rights are known
		if err := webhookDenied(e.as(t, tenant).Create(ctx, owned.DeepCopy(), client.DryRunAll), "ValidatingAdmissionPolicy", "6 replicas asked for, at most 5"); err != nil {
			return fmt.Errorf("as a ServiceAccount of another Namespace: %w", err)
		}
		return nil
	})
	cluster.Eventually(t, webhookWait, func() error { return e.as(t, operator).Create(ctx, owned.DeepCopy(), client.DryRunAll) })
}
