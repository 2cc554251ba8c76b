package integration

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// nodesWindow is how long it is watched that no node more than allowed is asked for: several
// of Karpenter's batches, and of its tries after a refusal.
const nodesWindow = 30 * time.Second

// TestNodeTotals shows on the real Karpenter what bounds the nodes of a pool.
func TestNodeTotals(t *testing.T) {
	t.Parallel()
	three := corev1.ResourceList{"nodes": *resource.NewQuantity(3, resource.DecimalSI)}
	e := newTotalsEnv(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true, NodeBootDelay: time.Second,
		NodePools: []cluster.NodePool{{Name: "limited", Limits: three}, {Name: "held"}, {Name: "other"}},
	}, 2)
	if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}); err != nil {
		t.Fatal(err)
	}
	t.Run("limits.nodes alone is passed by one batch", func(t *testing.T) {
		e.fill(t, "limited", 5)
		cluster.Eventually(t, webhookWait, func() error {
			if n := e.claims(t, "limited"); n != 5 {
				return fmt.Errorf("%d NodeClaims, this Karpenter made 5", n)
			}
			return nil
		})
	})
	t.Run("max-nodes of a pool", func(t *testing.T) {
		e.bound(t, karpenterPool("held"), "3")
		e.settled(t, "nodepool.held", v1alpha1.LedgerAmounts{})
		e.fill(t, "held", 5)
		e.holds(t, "held", 3)
		e.settled(t, "nodepool.held", v1alpha1.LedgerAmounts{Nodes: 3})
	})
	t.Run("a node that goes makes room for another", func(t *testing.T) {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaimList"})
		if err := e.Client.List(t.Context(), &list, client.MatchingLabels{"karpenter.sh/nodepool": "held"}); err != nil {
			t.Fatal(err)
		}
		if err := e.Client.Delete(t.Context(), &list.Items[0]); err != nil {
			t.Fatal(err)
		}
		cluster.Eventually(t, webhookWait, func() error {
			if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(&list.Items[0]), list.Items[0].DeepCopy()); err == nil {
				return fmt.Errorf("NodeClaim %s is still there", list.Items[0].GetName())
			}
			return nil
		})
		e.holds(t, "held", 3)
	})
	t.Run("max-nodes of the cluster", func(t *testing.T) {
		e.bound(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, "9")
		e.settled(t, "cluster", v1alpha1.LedgerAmounts{Nodes: 8})
		e.fill(t, "other", 3)
		e.holds(t, "other", 1)
	})
}

// bound annotates an object with max-nodes.
func (e *totalsEnv) bound(t *testing.T, o client.Object, value string) {
	t.Helper()
	if err := e.annotate(t, o, fmt.Sprintf("%q", value)); err != nil {
		t.Fatal(err)
	}
}

// annotate writes max-nodes, as JSON.
func (e *totalsEnv) annotate(t *testing.T, o client.Object, value string) error {
	body := fmt.Appendf(nil, `{"metadata":{"annotations":{"forewarm.dev/max-nodes":%s}}}`, value)
	return e.Client.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", body))
}

// fill makes pods of one node each for a pool.
func (e *totalsEnv) fill(t *testing.T, pool string, pods int) {
	t.Helper()
	e.fillMore(t, pool, 0, pods)
}

// fillMore makes further pods, behind those that there are.
func (e *totalsEnv) fillMore(t *testing.T, pool string, behind, pods int) {
	t.Helper()
	for i := range pods {
		pod := webhookPod("team", fmt.Sprintf("%s-%d", pool, behind+i), 8)
		pod.Spec.NodeSelector = map[string]string{"karpenter.sh/nodepool": pool}
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
}

// holds waits until a pool has n NodeClaims that stay, and then watches that it has no more.
func (e *totalsEnv) holds(t *testing.T, pool string, n int) {
	t.Helper()
	cluster.Eventually(t, webhookWait, func() error {
		if got := e.claims(t, pool); got != n {
			return fmt.Errorf("%d NodeClaims of %s, want %d", got, pool, n)
		}
		return nil
	})
	begin := time.Now()
	cluster.Eventually(t, nodesWindow+webhookWait, func() error {
		if got := e.claims(t, pool); got != n {
			t.Fatalf("%d NodeClaims of %s after %s, want %d", got, pool, time.Since(begin), n)
		}
		if time.Since(begin) < nodesWindow {
			return fmt.Errorf("watched for %s only", time.Since(begin))
		}
		return nil
	})
}

// claims counts the NodeClaims of a pool that are not being deleted.
func (e *totalsEnv) claims(t *testing.T, pool string) int {
	t.Helper()
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaimList"})
	if err := e.Client.List(t.Context(), &list, client.MatchingLabels{"karpenter.sh/nodepool": pool}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range list.Items {
		if list.Items[i].GetDeletionTimestamp() == nil {
			n++
		}
	}
	return n
}

// totalsOfNodeClaims: of a hundred at once as many are made as the pool may have nodes, and one more
// for each that is being replaced.
func totalsOfNodeClaims(t *testing.T, e *totalsEnv) {
	const most, asked = 60, 100
	ctx := t.Context()
	if err := e.ApplyFiles(ctx, filepath.Join("..", "bypass", "testdata", "crds", "karpenter.sh.yaml"), "testdata/nodeclaims.yaml"); err != nil {
		t.Fatal(err)
	}
	pool := twinObject(t, "{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: burst, annotations: {forewarm.dev/max-nodes: '60'}}}")
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, pool.DeepCopy()) })
	e.settled(t, "nodepool.burst", v1alpha1.LedgerAmounts{})
	claim := func(i int) *unstructured.Unstructured {
		return twinObject(t, fmt.Sprintf("{apiVersion: karpenter.sh/v1, kind: NodeClaim, metadata: {name: burst-%d, labels: {karpenter.sh/nodepool: burst}}}", i))
	}
	var made, refused, failed atomic.Int64
	var group sync.WaitGroup
	for i := range asked {
		group.Go(func() {
			switch err := e.Client.Create(ctx, claim(i)); {
			case err == nil:
				made.Add(1)
			case webhookDenied(err, "at most 60 in all", "NodePool burst") == nil:
				refused.Add(1)
			default:
				failed.Add(1)
				t.Errorf("NodeClaim %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if n := e.claims(t, "burst"); made.Load() != most || n != most {
		t.Errorf("%d of %d NodeClaims were made, %d refused, and %d are there; want %d", made.Load(), asked, refused.Load(), n, most)
	}
	e.settled(t, "nodepool.burst", v1alpha1.LedgerAmounts{Nodes: most})
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaimList"})
	if err := e.Client.List(ctx, &list, client.MatchingLabels{"karpenter.sh/nodepool": "burst"}); err != nil {
		t.Fatal(err)
	}
	replaced := twinPatch(`{"status":{"conditions":[{"type":"DisruptionReason","status":"True","reason":"Drifted"}]}}`)
	if err := e.Client.Status().Patch(ctx, &list.Items[0], replaced); err != nil {
		t.Fatal(err)
	}
	e.settled(t, "nodepool.burst", v1alpha1.LedgerAmounts{Nodes: most - 1})
	if err := e.Client.Create(ctx, claim(asked)); err != nil {
		t.Errorf("in the place of one that is being replaced: %v", err)
	}
	if err := webhookDenied(e.Client.Create(ctx, claim(asked+1)), "60 used by others"); err != nil {
		t.Error(err)
	}
}
