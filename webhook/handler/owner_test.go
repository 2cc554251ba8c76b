package handler

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// TestRolloutAsServiceAccount: the pod that rolls a DeploymentConfig out scales what that controls, as a
// ServiceAccount of the namespace, without counting it twice; nobody else does, nor makes it larger, nor says
// of anything that it is controlled.
func TestRolloutAsServiceAccount(t *testing.T) {
	const rollout = "system:serviceaccount:team:deployer"
	owner := metav1.OwnerReference{APIVersion: "apps.openshift.io/v1", Kind: "DeploymentConfig", Name: "web", UID: "u-1", Controller: new(true)}
	scaled := func(to int) string { return scaleReview("", "replicationcontrollers", "7", 1, to) }
	made := review(`{"uid":"r1","kind":{"group":"","version":"v1","kind":"ReplicationController"},"resource":{"group":"","version":"v1","resource":"replicationcontrollers"},
		"namespace":"team","name":"web","operation":"CREATE","object":{"metadata":{"name":"web","ownerReferences":[
		{"apiVersion":"apps.openshift.io/v1","kind":"DeploymentConfig","name":"web","uid":"u-1","controller":true}]},"spec":{"replicas":1}}}`)
	cases := map[string]struct {
		body       string
		wantDenied string // empty for allowed
	}{
		"as large as the controller":    {by(rollout, scaled(8)), ""},
		"with its surge":                {by(rollout, scaled(10)), ""},
		"larger":                        {by(rollout, scaled(11)), "11 replicas asked for, 6 used by others"},
		"by another ServiceAccount":     {by("system:serviceaccount:team:default", scaled(8)), "8 replicas asked for, 6 used by others"},
		"by a person":                   {by("jane", scaled(8)), "8 replicas asked for, 6 used by others"},
		"says that it is so of another": {by(rollout, made), "it says that DeploymentConfig web controls it"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			controlled := metadataOf("v1", "ReplicationController", "team/web", "7", nil)
			controlled.OwnerReferences = []metav1.OwnerReference{owner}
			w := newWorld(t, team(map[string]string{webhook.MaxTotalReplicas: "10"}), controlled)
			h, _ := w.totals(t, ledgerOf("namespace.team", v1alpha1.LedgerAmounts{Replicas: 7}))
			got := answer(t, post(h, c.body))
			if got.Allowed != (c.wantDenied == "") || (!got.Allowed && !strings.Contains(got.Result.Message, c.wantDenied)) {
				t.Errorf("answer %+v, want denied: %q", got, c.wantDenied)
			}
		})
	}
}

// TestLetThroughIsTold: what a mode lets through is told in the audit log, and to the writer once where it warns.
func TestLetThroughIsTold(t *testing.T) {
	web := func(replicas, owners string) string {
		return by("jane", deploymentReview("CREATE", `{"metadata":{"name":"api","ownerReferences":[`+owners+`]},"spec":{"replicas":`+replicas+`}}`, ""))
	}
	const named = `{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"u-1","controller":true}`
	for reason, body := range map[webhook.Reason]string{total.ReasonAboveTotal: web("5", ""), total.ReasonUnprovenOwner: web("1", named)} {
		for mode, wantWarnings := range map[webhook.Mode]int{webhook.Warn: 1, webhook.Audit: 0} {
			t.Run(string(reason)+"/"+string(mode), func(t *testing.T) {
				w := newWorld(t, team(map[string]string{webhook.MaxTotalReplicas: "10", webhook.CeilingMode: string(mode)}))
				h, _ := w.totals(t, ledgerOf("namespace.team", v1alpha1.LedgerAmounts{Replicas: 6}))
				got := answer(t, post(h, body))
				if !got.Allowed || len(got.Warnings) != wantWarnings || got.AuditAnnotations["reason"] != string(reason) {
					t.Errorf("answer %+v, want allowed with %d warnings, and %s in the audit log", got, wantWarnings, reason)
				}
			})
		}
	}
}

// TestTrialTellsWhatWouldBeRefused: in the modes warn and audit a rollout of what stands above its ceiling is not told
// of as what would be refused, which it would not be.
func TestTrialTellsWhatWouldBeRefused(t *testing.T) {
	made := func(replicas string) string {
		return by(deployer, review(`{"uid":"r1","kind":{"group":"apps","version":"v1","kind":"ReplicaSet"},"resource":{"group":"apps","version":"v1","resource":"replicasets"},"namespace":"team","name":"web-1",
			"operation":"CREATE","object":{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"u-1","controller":true}]},"spec":{"replicas":`+replicas+`}}}`))
	}
	for _, mode := range []webhook.Mode{webhook.Warn, webhook.Audit} {
		for replicas, want := range map[string]webhook.Reason{"50": webhook.ReasonOwned, "51": webhook.ReasonAboveCeiling} {
			t.Run(string(mode)+"/"+replicas, func(t *testing.T) {
				w := newWorld(t, team(map[string]string{webhook.MaxReplicas: "4", webhook.CeilingMode: string(mode)}))
				got := answer(t, post(w.ceilings, made(replicas)))
				wantTold := want == webhook.ReasonAboveCeiling
				if !got.Allowed || (got.AuditAnnotations["reason"] == string(webhook.ReasonAboveCeiling)) != wantTold || (len(got.Warnings) > 0) != (wantTold && mode == webhook.Warn) {
					t.Errorf("answer %+v, want allowed, and told of %t", got, wantTold)
				}
			})
		}
	}
}
