package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// capacityApprove: of seven nodes that are wanted five stand; the others are bought once somebody who
// may has approved them, in his own name.
func capacityApprove(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.patch(t, loopName, `{"spec":{"mode":"Approve","sizing":{"maxNodes":null},"chunks":[{"name":"single","requests":{"nvidia.com/gpu":"8"},"waitCostPerHour":"0","idleCostPerHour":"3","min":7,"max":7}]}}`)
	plan := v1alpha1.CapacityPlan{}
	waits := func() error {
		var plans v1alpha1.CapacityPlanList
		if err := e.Client.List(ctx, &plans); err != nil {
			return err
		}
		pool, chunk, err := e.status(ctx, loopName)
		if err != nil {
			return err
		}
		if len(plans.Items) != 1 || chunk.Reserved != 5 || chunk.Gated != 2 || chunk.Pending != 0 || chunk.Limited != 2 {
			return fmt.Errorf("%d plans, %+v; want one, and two gated placeholders", len(plans.Items), chunk)
		}
		plan = plans.Items[0]
		err = loopCondition(pool, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWaitingForApproval)
		return errors.Join(err, e.owns(ctx, 5))
	}
	cluster.Eventually(t, loopWait, waits)
	if s := plan.Spec; s.Nodes != 2 || s.CostPerHour != "53" || s.Requester != "system:serviceaccount:forewarm-system:forewarm-reserver" || len(s.Chunks) != 1 || s.Chunks[0].Ungated != 7 || s.Chunks[0].More != 2 {
		t.Errorf("proposed %+v, want 2 nodes for 53 per hour, twice the mean price of the five", s)
	}
	capacityRefused(t, e, plan)
	loopNever(t, loopWindow, waits)
	out, complaints, code := e.run(t, "forewarmctl", "approve", plan.Name, "--kubeconfig", e.Kubeconfig)
	if code != 0 || !strings.Contains(out, plan.Name+" approved by ") {
		t.Fatalf("exit code %d, %s%s", code, out, complaints)
	}
	capacityReserved(t, e, 7)
	if err := e.owns(ctx, 7); err != nil {
		t.Error(err)
	}
	if _, complaints, code = e.run(t, "forewarmctl", "approve", plan.Name, "--kubeconfig", e.Kubeconfig); code != 1 || !strings.Contains(complaints, "approved by") {
		t.Errorf("approved twice: exit code %d, %s", code, complaints)
	}
}

// capacityRefused: approvals and rejections that admission refuses.
func capacityRefused(t *testing.T, e *loopEnv, plan v1alpha1.CapacityPlan) {
	t.Helper()
	update := rbacv1.PolicyRule{APIGroups: []string{"forewarm.dev"}, Resources: []string{"capacityplans"}, Verbs: []string{"get", "create", "update", "patch"}}
	e.create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "writers"}, Rules: []rbacv1.PolicyRule{update}})
	e.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "mallory"}})
	e.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "writers"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "writers"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "web", Name: "mallory"}, {Kind: "ServiceAccount", Namespace: v1alpha1.SystemNamespace, Name: "forewarm-reserver"}},
	})
	reserver := "system:serviceaccount:forewarm-system:forewarm-reserver"
	for name, c := range map[string]struct {
		namespace, account string // empty for an admin
		by, says           string
	}{
		"in another's name": {"", "", "alice", "write your own name"},
		"without the verb":  {"web", "mallory", "system:serviceaccount:web:mallory", "need the verb approve"},
		"by its requester":  {v1alpha1.SystemNamespace, "forewarm-reserver", reserver, "nobody approves or rejects a plan of his own"},
		"without a name":    {"", "", "", "spec.approval.by"},
	} {
		for _, field := range []string{"approval", "rejection"} {
			body := fmt.Sprintf(`{"spec":{%q:{"by":%q}}}`, field, c.by)
			err := e.as(t, c.namespace, c.account).Patch(t.Context(), plan.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
			if says := strings.ReplaceAll(c.says, "approval", field); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s %s: %v, want a refusal that says %q", field, name, err, says)
			}
		}
	}
	err := e.Client.Patch(t.Context(), plan.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"nodes":1}}`)))
	if err == nil || !strings.Contains(err.Error(), "cannot be changed, only approved") {
		t.Errorf("changed: %v", err)
	}
	forged := plan.DeepCopy()
	forged.ObjectMeta = metav1.ObjectMeta{Name: "forged", Labels: plan.Labels, OwnerReferences: plan.OwnerReferences}
	if err := e.as(t, "web", "mallory").Create(t.Context(), forged); err == nil || !strings.Contains(err.Error(), "only Forewarm's reserver proposes") {
		t.Errorf("proposed by somebody else: %v", err)
	}
}

// as is a client of a ServiceAccount; without one, of an admin.
func (e *loopEnv) as(t *testing.T, namespace, account string) client.Client {
	t.Helper()
	if account == "" {
		return e.Client
	}
	path, err := e.KubeconfigForServiceAccount(t.Context(), namespace, account)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
