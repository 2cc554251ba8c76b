package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestFallback: Karpenter may buy no node of NodePool warm. WarmPool a100, which keeps two of them,
// asks for no third one meanwhile, turns to plain, whose capacity its pods may then take, and comes back once a node
// can be had.
func TestFallback(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	ctx := t.Context()
	fallbackLimit(t, e, `{"cpu":"0"}`)
	e.create(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "cluster-autoscaler-status"},
		Data:       map[string]string{"status": "autoscalerStatus: Running\nnodeGroups:\n- name: eks-warm-1\n  scaleUp: {status: Backoff, backoffInfo: {errorCode: OutOfStock, errorMessage: none left}}\n"},
	})
	a100, plain := loopPool(loopName, "warm", 2, 3), loopPool("plain", "plain", 0, 3)
	plain.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "others"}
	a100.Spec.Fallback = []string{"gone"}
	for _, pool := range []*v1alpha1.WarmPool{plain, a100} {
		pool.Spec.Mode, pool.Spec.Chunks[0].Requests = v1alpha1.ModeEnforce, extenderGPUs(8)
		pool.Spec.Sizing.Hold.Duration = time.Second
		e.create(t, pool)
	}
	e.start(t, "extender", "extender")
	e.start(t, "reserver", "reserver")
	started := time.Now()
	cluster.Eventually(t, loopWait, func() error { // long before the pool counts as one that gets no nodes
		pool, chunk, err := e.status(ctx, loopName)
		if err != nil || chunk.Infeasible != 2 || !strings.HasPrefix(chunk.Message, "karpenter: ") {
			return errors.Join(err, fmt.Errorf("%+v, want two infeasible, as Karpenter says", chunk))
		}
		ready := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || !strings.Contains(ready.Message, "single 0 of 2 (no node comes for 2): node group eks-warm-1 is in backoff: OutOfStock: none left; karpenter: ") {
			return fmt.Errorf("condition %+v, want what the autoscalers say", ready)
		}
		return nil
	})
	t.Logf("why no node comes is in status %s after the reserver started", time.Since(started).Round(time.Second))
	fallbackRefused(t, e)
	e.patch(t, loopName, `{"spec":{"fallback":["gone","plain"]}}`)
	out := func() error {
		return errors.Join(
			fallbackSupply(t, e, "Open,HalfOpen", []v1alpha1.DivertedChunk{{Chunk: "single", Count: 2, Pool: "plain", Into: "single", As: 2}}),
			e.reserved(t, "plain", 2, 0), e.owns(ctx, 2))
	}
	cluster.Eventually(t, 2*loopWait, out)
	t.Logf("two nodes of the fallback stand %s after the first was asked for in vain", time.Since(started).Round(time.Second))
	if n := e.scrape(t, e.processes["reserver"])["forewarm_capacity_stock_out"]; n != 1 {
		t.Errorf("the metric says %v, want 1", n)
	}
	e.processes["reserver"].Kill()
	e.start(t, "reserver", "reserver-2")
	loopNever(t, loopWindow, out) // the successor goes on from status

	pod := loopPod("ml", "diverted", 8, map[string]string{"karpenter.sh/nodepool": "plain"})
	e.create(t, pod)
	e.bound(t, pod)
	if err := e.owns(ctx, 2); err != nil {
		t.Errorf("the pod has taken what was kept for it: %v", err)
	}
	if err := e.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}

	fallbackLimit(t, e, `null`)
	cluster.Eventually(t, 3*loopWait, func() error {
		return errors.Join(fallbackSupply(t, e, v1alpha1.SupplyClosed, nil), e.reserved(t, loopName, 2, 0), e.reserved(t, "plain", 0, 0))
	})
	pool, _, err := e.status(ctx, loopName)
	if err = errors.Join(err, loopCondition(pool, v1alpha1.ConditionStockOut, metav1.ConditionFalse, v1alpha1.ReasonNodesCome)); err != nil {
		t.Error(err)
	}
	for reason, kind := range map[string]string{v1alpha1.ReasonNodesOverdue: corev1.EventTypeWarning, v1alpha1.ReasonNodesCome: corev1.EventTypeNormal} {
		if !e.told(t, reason, kind, "") {
			t.Errorf("no event %s", reason)
		}
	}
	if !e.told(t, v1alpha1.ReasonNodesOverdue, corev1.EventTypeWarning, "karpenter: ") {
		t.Error("the event does not say what Karpenter says of it")
	}
}

// fallbackRefused: of a third node, which Karpenter would refuse as it does the two, none is asked for.
func fallbackRefused(t *testing.T, e *loopEnv) {
	t.Helper()
	least := func(n int32) {
		pool, _, err := e.status(t.Context(), loopName)
		if err != nil {
			t.Fatal(err)
		}
		before := pool.DeepCopy()
		pool.Spec.Chunks[0].Min = n
		if err := e.Client.Patch(t.Context(), pool, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	least(3)
	limited := func() error {
		pool, chunk, err := e.status(t.Context(), loopName)
		if err != nil || chunk.Wanted != 2 || chunk.Limited != 1 || chunk.Pending != 2 {
			return errors.Join(err, fmt.Errorf("%+v, want two of three", chunk))
		}
		return loopCondition(pool, v1alpha1.ConditionLimited, metav1.ConditionTrue, "LimitedByAutoscaler")
	}
	cluster.Eventually(t, loopWait, limited)
	loopNever(t, loopWindow, limited)
	least(2)
}

// fallbackLimit sets what Karpenter may buy of NodePool warm.
func fallbackLimit(t *testing.T, e *loopEnv, limits string) {
	t.Helper()
	nodePool := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": map[string]any{"name": "warm"}}}
	if err := e.Client.Patch(t.Context(), nodePool, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"limits":`+limits+`}}`))); err != nil {
		t.Fatal(err)
	}
}

// told tells whether an event of a reason has such a note.
func (e *loopEnv) told(t *testing.T, reason, kind, note string) bool {
	t.Helper()
	var list eventsv1.EventList
	if err := e.Client.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list.Items, func(event eventsv1.Event) bool {
		return event.Reason == reason && event.Type == kind && strings.Contains(event.Note, note)
	})
}

// fallbackSupply fails unless the pool is in one of some states, and turns elsewhere for this much.
func fallbackSupply(t *testing.T, e *loopEnv, states string, want []v1alpha1.DivertedChunk) error {
	pool, chunk, err := e.status(t.Context(), loopName)
	if err != nil {
		return err
	}
	if s := pool.Status.Supply; s == nil || !slices.Contains(strings.Split(states, ","), s.State) || !slices.Equal(s.Diverted, want) {
		return fmt.Errorf("status.supply is %+v, chunk %+v; want %s, diverted %+v", s, chunk, states, want)
	}
	return nil
}
