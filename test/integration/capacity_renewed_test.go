package integration

import (
	"errors"
	"fmt"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// capacityRenewed: one of five placeholders is near its deadline. The leader has deleted it and is killed before it
// has ungated the next, which the API server refuses it until then. The successor ungates one, onto the node that is
// there, and nothing else changes.
func capacityRenewed(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	capacityReserved(t, e, 5)
	_, open, err := e.stands(ctx)
	if err != nil || len(open) != 5 {
		t.Fatalf("%d placeholders stand (%v), want 5", len(open), err)
	}
	_, _, preempted, deleted := e.pods.counts()
	var old corev1.Pod
	for _, old = range open {
		break
	}
	closed := capacityGatesStay(t, e, old.Name)
	soon := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"activeDeadlineSeconds":1800}}`))
	if err := e.Client.Patch(ctx, old.DeepCopy(), soon); err != nil {
		t.Fatal(err)
	}
	delete(open, old.Name)
	halfway := func() error {
		gated, now, err := e.stands(ctx)
		if _, _, p, d := e.pods.counts(); err == nil && (!sameUIDs(now, open) || len(gated) == 0 || p != preempted || d != deleted+1) {
			err = fmt.Errorf("%d placeholders and %d gated ones, %d deleted; want the other four, one to ungate, one deleted", len(now), len(gated), d-deleted)
		}
		return errors.Join(err, e.owns(ctx, 5))
	}
	cluster.Eventually(t, loopWait, halfway)
	e.processes["reserver"].Kill()
	if err := halfway(); err != nil {
		t.Fatalf("killed too late: %v", err)
	}
	closed()
	e.start(t, "reserver", "reserver-renews")
	whole := func() error {
		_, now, err := e.stands(ctx)
		if len(now) != 5 {
			err = errors.Join(err, fmt.Errorf("%d placeholders, want 5", len(now)))
		}
		for name, pod := range open {
			if now[name].UID != pod.UID {
				err = errors.Join(err, fmt.Errorf("placeholder %s, which was not near its deadline, is gone", name))
			}
		}
		if _, _, p, d := e.pods.counts(); p != preempted || d != deleted+1 {
			err = errors.Join(err, fmt.Errorf("%d placeholders were preempted and %d deleted, want 0 and the one", p-preempted, d-deleted))
		}
		return errors.Join(err, e.owns(ctx, 5))
	}
	cluster.Eventually(t, loopWait, whole)
	loopNever(t, loopWindow, whole)
	capacityReserved(t, e, 5)
}

// capacityGatesStay has the API server refuse the reserver to open a gate until the function that it returns is
// called. An open placeholder shows when that is so.
func capacityGatesStay(t *testing.T, e *loopEnv, open string) (until func()) {
	t.Helper()
	ctx := t.Context()
	named := metav1.ObjectMeta{Name: "gates-stay"}
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: named, Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
			RuleWithOperations: admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			},
		}}},
		MatchConditions: []admissionregistrationv1.MatchCondition{
			{Name: "placeholders", Expression: `request.namespace == "` + v1alpha1.PlaceholderNamespace + `"`},
			{Name: "by-whom", Expression: `request.userInfo.username.endsWith(":forewarm-reserver") || "test.dev/probe" in object.metadata.?annotations.orValue({})`},
		},
		Validations: []admissionregistrationv1.Validation{{Expression: "has(object.spec.schedulingGates)", Message: "gates stay"}},
	}}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: named, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: named.Name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
	}}
	probe := func() error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PlaceholderNamespace, Name: open}}
		return e.Client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"test.dev/probe":"x"}}}`)), client.DryRunAll)
	}
	e.create(t, policy)
	e.create(t, binding)
	cluster.Eventually(t, loopWait, func() error {
		if probe() == nil {
			return errors.New("gates may still be opened")
		}
		return nil
	})
	return func() {
		t.Helper()
		for _, object := range []client.Object{binding, policy} {
			if err := e.Client.Delete(ctx, object); err != nil {
				t.Fatal(err)
			}
		}
	}
}
