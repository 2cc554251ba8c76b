package handler

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/ledger"
)

func ledgerOf(name string, standing v1alpha1.LedgerAmounts) *v1alpha1.Ledger {
	return &v1alpha1.Ledger{
		ObjectMeta: metav1.ObjectMeta{Namespace: "forewarm-system", Name: name},
		Data:       v1alpha1.LedgerData{Complete: true, Standing: standing},
	}
}

// totals is the handler of a world with ledgers, and a client that reads them.
func (w *world) totals(t testing.TB, ledgers ...client.Object) (http.Handler, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(ledgers...).Build()
	o := w.options
	o.Book, o.Registerer = ledger.NewBook(c, "forewarm-system"), prometheus.NewRegistry()
	return New(o).Totals, c
}

// counted are the amounts of what is coming by a ledger.
func counted(t *testing.T, c client.Client, name string) map[string]webhook.Amounts {
	t.Helper()
	l := &v1alpha1.Ledger{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "forewarm-system", Name: name}, l); err != nil {
		t.Fatal(err)
	}
	out := map[string]webhook.Amounts{}
	for _, e := range l.Data.Entries {
		out[e.Object] = webhook.Amounts{Replicas: e.Replicas, GPUs: e.GPUs, Nodes: e.Nodes}
	}
	return out
}

func TestTotals(t *testing.T) {
	gpus := func(replicas int, n string) string {
		return fmt.Sprintf(`{"metadata":{"name":"web","resourceVersion":"7"},"spec":{"replicas":%d,"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":%q}}}]}}}}`, replicas, n)
	}
	replicas := map[string]string{webhook.MaxTotalReplicas: "10"}
	replicaSet := func(user string, replicas int, owner, uid string) string {
		return by(user, review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"apps","version":"v1","kind":"ReplicaSet"},"resource":{"group":"apps","version":"v1","resource":"replicasets"},
			"namespace":"team","name":"rs","operation":"CREATE","object":{"metadata":{"name":"rs","ownerReferences":[{"apiVersion":%q,"kind":%q,"name":"web","uid":%q,"controller":true}]},"spec":{"replicas":%d}}}`,
			map[string]string{"Deployment": "apps/v1", "ScaledObject": "keda.sh/v1alpha1"}[owner], owner, uid, replicas)))
	}
	adopted := func(user, before string) string {
		return by(user, deploymentReview("UPDATE", `{"metadata":{"name":"api","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"u-1","controller":true}]},"spec":{"replicas":3}}`,
			`{"metadata":{"name":"api","ownerReferences":[`+before+`]},"spec":{"replicas":3}}`))
	}
	workers := func(user, name string, replicas int) string {
		return by(user, review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"apps","version":"v1","kind":"StatefulSet"},"resource":{"group":"apps","version":"v1","resource":"statefulsets"},
			"namespace":"team","name":%q,"operation":"CREATE","object":{"metadata":{"name":%q,"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"web-1","uid":"u-9","controller":true}]},"spec":{"replicas":%d}}}`,
			name, name, replicas)))
	}
	const unproven = "it says that Deployment web controls it"
	none := v1alpha1.LedgerAmounts{}
	cases := map[string]struct {
		annotations map[string]string
		body        string
		// before is what the object has beside others' 6 replicas with 6 GPUs.
		before     v1alpha1.LedgerAmounts
		wantDenied string // empty for allowed
		want       map[string]webhook.Amounts
	}{
		"create": {replicas, deploymentReview("CREATE", gpus(4, "2"), ""), none, "", map[string]webhook.Amounts{"deployments.apps/web": {Replicas: 4, GPUs: 8}}},
		"create above": {
			replicas, deploymentReview("CREATE", gpus(5, "2"), ""), none, `Deployment team/web: 5 replicas asked for, 6 used by others, at most 10 in all allowed by annotation forewarm.dev/max-total-replicas="10" on Namespace team`, nil,
		},
		"a dry run": {replicas, strings.Replace(deploymentReview("CREATE", gpus(4, "2"), ""), `"uid"`, `"dryRun":true,"uid"`, 1), none, "", nil},
		"decrease":  {replicas, deploymentReview("UPDATE", gpus(3, "2"), gpus(4, "2")), v1alpha1.LedgerAmounts{Replicas: 4, GPUs: 8}, "", nil},
		"scale":     {replicas, scaleReview("apps", "deployments", "7", 1, 3), v1alpha1.LedgerAmounts{Replicas: 1}, "", map[string]webhook.Amounts{"deployments.apps/web": {Replicas: 3}}},
		"scale above": {
			replicas, scaleReview("apps", "deployments", "7", 1, 5), v1alpha1.LedgerAmounts{Replicas: 1}, "5 replicas asked for, 6 used by others", nil,
		},
		"more GPUs per replica": {
			map[string]string{webhook.MaxGPUs: "10"}, deploymentReview("UPDATE", gpus(2, "3"), gpus(2, "1")), v1alpha1.LedgerAmounts{Replicas: 2, GPUs: 2}, "6 GPUs asked for, 6 used by others", nil,
		},
		"GPUs within":                  {map[string]string{webhook.MaxGPUs: "10"}, deploymentReview("UPDATE", gpus(2, "2"), gpus(2, "1")), v1alpha1.LedgerAmounts{Replicas: 2, GPUs: 2}, "", map[string]webhook.Amounts{"deployments.apps/web": {Replicas: 2, GPUs: 4}}},
		"no total":                     {nil, deploymentReview("CREATE", gpus(50, "2"), ""), none, "", nil},
		"warned":                       {map[string]string{webhook.MaxTotalReplicas: "10", webhook.CeilingMode: "warn"}, deploymentReview("CREATE", gpus(5, "0"), ""), none, "", map[string]webhook.Amounts{"deployments.apps/web": {Replicas: 5}}},
		"above another":                {map[string]string{webhook.MaxTotalReplicas: "100", webhook.MaxReplicas: "3"}, deploymentReview("CREATE", gpus(5, "2"), ""), none, "at most 3 allowed", nil},
		"owned":                        {replicas, replicaSet(deployer, 40, "Deployment", "u-1"), none, "", nil},
		"owned by none":                {replicas, replicaSet(deployer, 5, "Deployment", "u-2"), none, "ReplicaSet team/rs: 5 replicas asked for", nil},
		"owned by what does not count": {replicas, replicaSet(deployer, 5, "ScaledObject", "u-1"), none, "ReplicaSet team/rs: 5 replicas asked for", nil},
		"owned, says a person":         {replicas, replicaSet("jane", 1, "Deployment", "u-1"), none, unproven, nil},
		"owned, says a pod beside it":  {replicas, replicaSet("system:serviceaccount:team:default", 1, "Deployment", "u-1"), none, unproven, nil},
		"owned, says a pod elsewhere":  {replicas, replicaSet("system:serviceaccount:mine:default", 1, "Deployment", "u-1"), none, unproven, nil},
		"owned, says an operator":      {replicas, replicaSet(operator, 40, "Deployment", "u-1"), none, "", nil},
		"a group":                      {replicas, workers(deployer, "web-1", 7), none, "", nil},
		"a group that is too large":    {replicas, workers(deployer, "web-1", 8), none, "StatefulSet team/web-1: 8 replicas asked for, 6 used", nil},
		"a group of another name":      {replicas, workers(deployer, "web-2", 7), none, "StatefulSet team/web-2: 7 replicas asked for, 6 used", nil},
		"a group, says a pod":          {replicas, workers("system:serviceaccount:mine:default", "web-1", 7), none, "StatefulSet team/web-1: 7 replicas asked for, 6 used", nil},
		"a group, which has room":      {replicas, workers("system:serviceaccount:mine:default", "web-1", 3), none, "", map[string]webhook.Amounts{"statefulsets.apps/web-1": {Replicas: 3}}},
		"adopted by a person":          {replicas, adopted("jane", ""), none, unproven, nil},
		"adopted by a controller":      {replicas, adopted(deployer, ""), none, "", nil},
		"adopted before":               {replicas, adopted("jane", `{"uid":"u-1","controller":true}`), none, "", nil},
		"adopted, and warned":          {map[string]string{webhook.MaxTotalReplicas: "10", webhook.CeilingMode: "warn"}, adopted("jane", ""), none, "", nil},
		"what is not counted": {replicas, review(`{"uid":"r1","kind":{"group":"autoscaling","version":"v1","kind":"Scale"},"resource":{"group":"example.com","version":"v1","resource":"things"},
			"subResource":"scale","namespace":"team","name":"it","operation":"UPDATE","object":{"spec":{"replicas":50}},"oldObject":{"spec":{}}}`), none, "", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(team(c.annotations), metadataOf("apps/v1", "Deployment", "team/web", "7", nil)))
			h, reader := w.totals(t, ledgerOf("namespace.team", v1alpha1.LedgerAmounts{Replicas: 6 + c.before.Replicas, GPUs: 6 + c.before.GPUs}))
			got := answer(t, post(h, c.body))
			if got.Allowed != (c.wantDenied == "") || (!got.Allowed && !strings.Contains(got.Result.Message, c.wantDenied)) {
				t.Errorf("answer %+v, want denied: %q", got, c.wantDenied)
			}
			if diff := cmp.Diff(c.want, counted(t, reader, "namespace.team"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("ledger:\n%s", diff)
			}
		})
	}
}

// TestTotalOfClaims: what pods of the template claim counts for each of them, and what they share
// once.
func TestTotalOfClaims(t *testing.T) {
	claims := claimsOf{Claims: webhook.Claims{
		{Source: webhook.FromTemplate, Name: "two"}: {{Vendor: "nvidia", Count: 2}}, {Source: webhook.FromClaim, Name: "shared"}: {{Vendor: "nvidia", Count: 3}},
	}}
	object := func(replicas int) string {
		return fmt.Sprintf(`{"metadata":{"name":"web","resourceVersion":"7"},"spec":{"replicas":%d,"template":{"spec":{"resourceClaims":[{"resourceClaimTemplateName":"two"},{"resourceClaimName":"shared"}]}}}}`, replicas)
	}
	w := newWorld(t, team(map[string]string{webhook.MaxGPUs: "11"}))
	w.options.Claims = claims
	h, reader := w.totals(t, ledgerOf("namespace.team", v1alpha1.LedgerAmounts{}))
	if got := answer(t, post(h, deploymentReview("CREATE", object(5), ""))); got.Allowed || !strings.Contains(got.Result.Message, "13 GPUs asked for") {
		t.Errorf("5 replicas: %+v, want 13 GPUs denied", got)
	}
	if got := answer(t, post(h, deploymentReview("UPDATE", object(4), object(1)))); !got.Allowed {
		t.Errorf("4 replicas: %+v", got)
	}
	if diff := cmp.Diff(map[string]webhook.Amounts{"deployments.apps/web": {Replicas: 4, GPUs: 11}}, counted(t, reader, "namespace.team")); diff != "" {
		t.Errorf("ledger:\n%s", diff)
	}
	w.options.Claims = claimsOf{err: errors.New("no answer")}
	h, _ = w.totals(t, ledgerOf("namespace.team", v1alpha1.LedgerAmounts{}))
	if failed := post(h, deploymentReview("CREATE", object(1), "")); failed.Code != http.StatusInternalServerError {
		t.Errorf("HTTP %d, want an error of ours", failed.Code)
	}
}

// TestTotalWithoutLedger: what cannot be counted is an error of ours, so that failurePolicy
// decides.
func TestTotalWithoutLedger(t *testing.T) {
	w := newWorld(t, team(map[string]string{webhook.MaxTotalReplicas: "10"}))
	h, _ := w.totals(t)
	got := post(h, deploymentReview("CREATE", `{"metadata":{"name":"web"},"spec":{"replicas":1}}`, ""))
	if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), "the ledger of Namespace team is not there yet") {
		t.Errorf("HTTP %d: %s", got.Code, got.Body)
	}
}

// TestScaledGPUs: the parent of the scale says how many GPUs a replica has.
func TestScaledGPUs(t *testing.T) {
	w := newWorld(t, append(team(map[string]string{webhook.MaxGPUs: "10"}), metadataOf("apps/v1", "Deployment", "team/web", "7", nil)))
	h, reader := w.totals(t, ledgerOf("namespace.team", v1alpha1.LedgerAmounts{}))
	if got := answer(t, post(h, scaleReview("apps", "deployments", "7", 1, 3))); !got.Allowed {
		t.Errorf("GPUs of a parent without any: %+v", got)
	}
	if diff := cmp.Diff(map[string]webhook.Amounts{}, counted(t, reader, "namespace.team")); diff != "" {
		t.Errorf("ledger:\n%s", diff)
	}
}

// TestNodeClaims: a node counts for its pool and for the cluster, and for neither where one
// refuses.
func TestNodeClaims(t *testing.T) {
	body := review(`{"uid":"r1","kind":{"group":"karpenter.sh","version":"v1","kind":"NodeClaim"},"resource":{"group":"karpenter.sh","version":"v1","resource":"nodeclaims"},
		"operation":"CREATE","object":{"metadata":{"name":"gpu-abc","labels":{"karpenter.sh/nodepool":"gpu"}}}}`)
	is := v1alpha1.LedgerAmounts{Nodes: 1}
	cases := map[string]struct {
		pool, cluster         string
		wantDenied            string
		wantPool, wantCluster int
	}{
		"both":        {"2", "2", "", 1, 1},
		"the pool":    {"1", "2", "NodeClaim gpu-abc: 1 nodes asked for, 1 used by others, at most 1 in all allowed by annotation forewarm.dev/max-nodes=\"1\" on NodePool gpu", 0, 0},
		"the cluster": {"2", "1", "on Namespace kube-system", 0, 0},
		"neither":     {"", "", "", 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bound := func(value string) map[string]string {
				if value == "" {
					return nil
				}
				return map[string]string{webhook.MaxNodes: value}
			}
			pool := metadataOf("karpenter.sh/v1", "NodePool", "gpu", "1", bound(c.pool))
			w := newWorld(t, []client.Object{metadataOf("v1", "Namespace", "kube-system", "1", bound(c.cluster))}, pool)
			h, reader := w.totals(t, ledgerOf("nodepool.gpu", is), ledgerOf("cluster", is))
			got := answer(t, post(h, body))
			if got.Allowed != (c.wantDenied == "") || (!got.Allowed && !strings.Contains(got.Result.Message, c.wantDenied)) {
				t.Errorf("answer %+v, want denied: %q", got, c.wantDenied)
			}
			if n := len(counted(t, reader, "nodepool.gpu")); n != c.wantPool {
				t.Errorf("%d nodes of the pool are coming, want %d", n, c.wantPool)
			}
			if n := len(counted(t, reader, "cluster")); n != c.wantCluster {
				t.Errorf("%d nodes of the cluster are coming, want %d", n, c.wantCluster)
			}
		})
	}
}
