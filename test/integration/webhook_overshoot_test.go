package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestOvershoot: what is bought beyond max-nodes while no webhook answers is told in the status of
// the pool's ledger once one does, until it is over.
func TestOvershoot(t *testing.T) {
	e := newTotalsEnv(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true, NodeBootDelay: time.Second,
		NodePools: []cluster.NodePool{{Name: "held"}},
	}, 1)
	ctx := t.Context()
	if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}); err != nil {
		t.Fatal(err)
	}
	e.bound(t, karpenterPool("held"), "3")
	e.settled(t, "nodepool.held", v1alpha1.LedgerAmounts{})
	e.above(t, "nodepool.held", metav1.ConditionFalse, "")
	e.replicas[0].Kill()
	e.fill(t, "held", 5)
	e.bought(t, "held", 5)
	e.replicas[0] = e.run(t, "webhook-back", e.balancer.add(webhookPort(t)), "")
	e.await(t, e.replicas[0])
	e.above(t, "nodepool.held", metav1.ConditionTrue, `5 nodes stand, at most 3 in all allowed by annotation forewarm.dev/max-nodes="3" on NodePool held`)
	cluster.Eventually(t, webhookWait, func() error {
		return e.event(ctx, "default", v1alpha1.ReasonStandsAboveCeiling, "5 nodes stand")
	})
	e.drop(t, "held", 2)
	e.above(t, "nodepool.held", metav1.ConditionFalse, "")
}

func karpenterPool(name string) *unstructured.Unstructured {
	pool := &unstructured.Unstructured{}
	pool.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodePool"})
	pool.SetName(name)
	return pool
}

// above waits until the status of a ledger says whether more stands than a total allows.
func (e *totalsEnv) above(t *testing.T, ledger string, status metav1.ConditionStatus, says string) {
	t.Helper()
	cluster.Eventually(t, 2*webhookWait, func() error {
		l, err := e.ledger(t.Context(), ledger)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(l.Status.Conditions, v1alpha1.ConditionAboveCeiling)
		if c == nil || c.Status != status || !strings.Contains(c.Message, says) {
			return fmt.Errorf("the condition is %+v, want %s that says %q", c, status, says)
		}
		return nil
	})
}

// bought waits until a pool has n NodeClaims.
func (e *totalsEnv) bought(t *testing.T, pool string, n int) {
	t.Helper()
	cluster.Eventually(t, webhookWait, func() error {
		if got := e.claims(t, pool); got != n {
			return fmt.Errorf("%d NodeClaims of %s, want %d", got, pool, n)
		}
		return nil
	})
}

// drop takes n pods of a pool away, with their nodes.
func (e *totalsEnv) drop(t *testing.T, pool string, n int) {
	t.Helper()
	var pods corev1.PodList
	cluster.Eventually(t, webhookWait, func() error {
		if err := e.Client.List(t.Context(), &pods, client.InNamespace("team")); err != nil {
			return err
		}
		for i := range pods.Items {
			if pods.Items[i].Spec.NodeName == "" {
				return fmt.Errorf("pod %s has no node yet", pods.Items[i].Name)
			}
		}
		return nil
	})
	for i := range pods.Items[:n] {
		claims := unstructured.UnstructuredList{}
		claims.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaimList"})
		if err := e.Client.Delete(t.Context(), &pods.Items[i]); err != nil {
			t.Fatal(err)
		}
		if err := e.Client.List(t.Context(), &claims, client.MatchingLabels{"karpenter.sh/nodepool": pool}); err != nil {
			t.Fatal(err)
		}
		for j := range claims.Items {
			if node, _, _ := unstructured.NestedString(claims.Items[j].Object, "status", "nodeName"); node != pods.Items[i].Spec.NodeName {
				continue
			}
			if err := e.Client.Delete(t.Context(), &claims.Items[j]); client.IgnoreNotFound(err) != nil {
				t.Fatal(err)
			}
		}
	}
}
