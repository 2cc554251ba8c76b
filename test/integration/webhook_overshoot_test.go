package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestOvershoot shows what holds max-nodes while no webhook answers: limits that were generated for
// Karpenter and Cluster Autoscaler. What passes them is told once a webhook answers again, until it
// is over. The parts run in this order; the later ones stand on what the earlier ones made.
func TestOvershoot(t *testing.T) {
	t.Parallel()
	two := corev1.ResourceList{"nodes": *resource.NewQuantity(2, resource.DecimalSI)}
	e := newTotalsEnv(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true, NodeBootDelay: time.Second,
		NodePools: []cluster.NodePool{{Name: "held", ConsolidateAfter: "Never"}, {Name: "limited", Limits: two}},
	}, 1)
	if err := e.ApplyFiles(t.Context(), "testdata/capacityquotas.yaml"); err != nil {
		t.Fatal(err)
	}
	if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *totalsEnv)
	}{
		{"limits are generated where there are none", overshootGenerated},
		{"what a WarmPool always keeps is held", overshootKept},
		{"without a webhook one batch passes, and no more", overshootDead},
		{"what has passed is told until it is over", overshootTold},
		{"limits go with their ceiling, and when Forewarm is disarmed", overshootReleased},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, e) }) {
			t.FailNow() // the next part stands on this one
		}
	}
}

func overshootGenerated(t *testing.T, e *totalsEnv) {
	ctx := t.Context()
	e.bound(t, karpenterPool("held"), "3")
	e.bound(t, karpenterPool("limited"), "3")
	e.limited(t, "held", "3")
	e.settled(t, "nodepool.held", v1alpha1.LedgerAmounts{})
	e.above(t, "nodepool.held", metav1.ConditionFalse, "")
	cluster.Eventually(t, webhookWait, func() error {
		return e.event(ctx, "default", v1alpha1.ReasonLimitGenerated, "spec.limits.nodes is 3 now")
	})
	// Git, which says nothing of a limit, changes nothing and is told of no conflict.
	before := e.pool(t, "held")
	git := karpenterPool("held")
	git.Object["spec"] = map[string]any{"template": before.Object["spec"].(map[string]any)["template"]}
	for range 2 {
		if err := e.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(git.DeepCopy()), client.FieldOwner("git"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
	}
	e.limited(t, "held", "3")
	e.limited(t, "limited", "2")
	e.bound(t, karpenterPool("held"), "4")
	e.limited(t, "held", "4")
	e.bound(t, karpenterPool("held"), "3")
	e.limited(t, "held", "3")
}

// overshootKept: two nodes with eight GPUs tell how many the minimum of a WarmPool needs.
func overshootKept(t *testing.T, e *totalsEnv) {
	ctx := t.Context()
	e.fill(t, "held", 2)
	e.bought(t, "held", 2)
	e.stand(t, "held", 2)
	kept := func(least int32, annotations map[string]string) *v1alpha1.WarmPool {
		pool := loopPool("kept", "held", least, 9)
		pool.Annotations, pool.Spec.Chunks[0].Requests = annotations, extenderGPUs(8)
		return pool
	}
	if err := webhookDenied(e.Client.Create(ctx, kept(4, nil)), "WarmPool kept: 4 nodes asked for by spec.chunks[].min, at most 3 allowed", `forewarm.dev/max-nodes="3" on NodePool held`); err != nil {
		t.Errorf("above that of the NodePool: %v", err)
	}
	if err := webhookDenied(e.Client.Create(ctx, kept(3, map[string]string{v1alpha1.AnnotationMaxNodes: "2"})), "3 nodes asked for", "on WarmPool kept"); err != nil {
		t.Errorf("above its own: %v", err)
	}
	pool := kept(3, nil)
	if err := e.Client.Create(ctx, pool); err != nil {
		t.Fatal(err)
	}
	pool.Spec.Chunks[0].Min = 4
	if err := webhookDenied(e.Client.Update(ctx, pool.DeepCopy()), "4 nodes asked for"); err != nil {
		t.Errorf("raised: %v", err)
	}
	pool.Spec.Chunks[0].Min = 2
	if err := e.Client.Update(ctx, pool); err != nil {
		t.Errorf("lowered: %v", err)
	}
}

// overshootDead: Karpenter counts the nodes that stand, not those of the batch that it makes.
func overshootDead(t *testing.T, e *totalsEnv) {
	e.replicas[0].Kill()
	if err := e.annotate(t, karpenterPool("held"), `"many"`); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `annotation forewarm.dev/max-nodes: "many" cannot be read`) {
		t.Errorf("a ceiling that is no number: %v, want it refused by the policies", err)
	}
	e.fillMore(t, "held", 2, 5)
	e.bought(t, "held", 7)
	e.stand(t, "held", 7)
	e.fillMore(t, "held", 7, 3)
	e.holds(t, "held", 7)
}

func overshootTold(t *testing.T, e *totalsEnv) {
	ctx := t.Context()
	port := webhookPort(t)
	e.balancer.Add(port)
	e.replicas[0] = e.run(t, "webhook-back", port, "")
	e.await(t, e.replicas[0])
	e.above(t, "nodepool.held", metav1.ConditionTrue, `7 nodes stand, at most 3 in all allowed by annotation forewarm.dev/max-nodes="3" on NodePool held`)
	cluster.Eventually(t, webhookWait, func() error {
		return e.event(ctx, "default", v1alpha1.ReasonStandsAboveCeiling, "7 nodes stand")
	})
	e.drop(t, "held", 4)
	e.above(t, "nodepool.held", metav1.ConditionFalse, "")
}

func overshootReleased(t *testing.T, e *totalsEnv) {
	ctx := t.Context()
	run := forewarmctl(t, e.Cluster)
	e.bound(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, "2")
	e.limited(t, "held", "2")
	quota := &unstructured.Unstructured{}
	quota.SetGroupVersionKind(schema.GroupVersionKind{Group: "autoscaling.x-k8s.io", Version: "v1alpha1", Kind: "CapacityQuota"})
	quota.SetName("forewarm-cluster")
	cluster.Eventually(t, webhookWait, func() error {
		err := e.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota)
		if nodes, _, _ := unstructured.NestedInt64(quota.Object, "spec", "limits", "resources", "nodes"); err != nil || nodes != 2 {
			return fmt.Errorf("the quota allows %d nodes (%w), want 2", nodes, err)
		}
		return nil
	})
	if said := run("disarm", "--reason", "a test"); !strings.Contains(said, "took back spec.limits.nodes of NodePool held") || !strings.Contains(said, "took back CapacityQuota forewarm-cluster") || strings.Contains(said, "NodePool limited") {
		t.Errorf("disarm:\n%s", said)
	}
	e.limited(t, "held", "")
	e.limited(t, "limited", "2")
	if _, set, _ := unstructured.NestedMap(e.pool(t, "held").Object, "spec", "limits"); set {
		t.Error("the NodePool has empty limits, and had none")
	}
	if err := e.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota); !apierrors.IsNotFound(err) {
		t.Errorf("the quota is still there: %v", err)
	}
	// Nobody refuses a value now; what was in force stays so, and is told.
	if err := e.annotate(t, karpenterPool("limited"), `"many"`); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		return e.event(ctx, "default", v1alpha1.ReasonCeilingUnreadable, "NodePool limited: annotation forewarm.dev/max-nodes")
	})
	run("arm")
	e.limited(t, "held", "2")
	for _, o := range []client.Object{karpenterPool("held"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}} {
		if err := e.annotate(t, o, "null"); err != nil {
			t.Fatal(err)
		}
	}
	e.limited(t, "held", "")
	e.limited(t, "limited", "2")
}

func (e *totalsEnv) pool(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	pool := karpenterPool(name)
	if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// limited waits until the limit of a NodePool is n, empty for none.
func (e *totalsEnv) limited(t *testing.T, pool, n string) {
	t.Helper()
	cluster.Eventually(t, webhookWait, func() error {
		value, set, err := unstructured.NestedFieldNoCopy(e.pool(t, pool).Object, "spec", "limits", "nodes")
		if err != nil || set != (n != "") || set && fmt.Sprint(value) != n {
			return fmt.Errorf("the limit of NodePool %s is %v (%w), want %q", pool, value, err, n)
		}
		return nil
	})
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

// stand waits until a pool has n nodes. Whether the scheduler has placed the pods there by then is
// not what is shown.
func (e *totalsEnv) stand(t *testing.T, pool string, n int) {
	t.Helper()
	cluster.Eventually(t, webhookWait, func() error {
		var nodes corev1.NodeList
		if err := e.Client.List(t.Context(), &nodes, client.MatchingLabels{"karpenter.sh/nodepool": pool}); err != nil {
			return err
		}
		if len(nodes.Items) != n {
			return fmt.Errorf("%d nodes of %s stand, want %d", len(nodes.Items), pool, n)
		}
		return nil
	})
}

// drop takes n nodes of a pool away, with the pods on them.
func (e *totalsEnv) drop(t *testing.T, pool string, n int) {
	t.Helper()
	var claims unstructured.UnstructuredList
	claims.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaimList"})
	if err := e.Client.List(t.Context(), &claims, client.MatchingLabels{"karpenter.sh/nodepool": pool}); err != nil {
		t.Fatal(err)
	}
	for i := range claims.Items[:n] {
		if err := e.Client.Delete(t.Context(), &claims.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
}
