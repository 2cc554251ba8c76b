package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestCapacity shows, on a real control plane with Karpenter, what a WarmPool of whole nodes does
// beyond the main loop. The parts run in this order, on one pool.
func TestCapacity(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	e.prices(t, `prices: [{instanceType: none-of-ours, perHour: "1"}]`)
	e.start(t, "extender", "extender")
	e.settings = "maxChangesPerPlan: 1, " // a second passes between two nodes, for capacityKilled
	e.start(t, "reserver", "reserver")
	for _, part := range []struct {
		name string
		run  func(*testing.T, *loopEnv)
	}{
		{"a pod that cannot preempt is made room for", capacityTakeover},
		{"a pod that waits says for what and until when", capacityWaiting},
		{"a pod that fits no node says so, and asks for nothing", capacityFitsNone},
		{"a leader that is killed in the middle, and one without metrics, change nothing", capacityKilled},
		{"five of eight, and status says why", capacityLimited},
		{"a leader that is killed in the middle of a renewal is gone on from", capacityRenewed},
		{"nodes cost what a file and an annotation say", capacityPrices},
		{"an unapproved plan buys no node", capacityApprove},
		{"decisions are kept, and replayed bit for bit", capacityDecisions},
		{"declared demand is ready before it comes", capacityDeclared},
		{"a signed call declares demand", capacityCalls},
		{"a node that goes is replaced at once", capacityInterrupt},
		{"a node that goes is drained within its notice", capacityDrain},
		{"a step in demand needs no node beyond the forecast", capacityStep},
		{"takeovers in a pool with a min buy what it says, once", capacityMin},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, e) }) {
			for _, p := range e.processes {
				t.Logf("log of %s:\n%s", p.Name, p.Log())
			}
			t.FailNow() // the next part stands on this one
		}
	}
}

// capacityReserved waits until the pool holds so many whole nodes, and names one.
func capacityReserved(t *testing.T, e *loopEnv, want int32) string {
	t.Helper()
	cluster.Eventually(t, loopWait, func() error {
		_, chunk, err := e.status(t.Context(), loopName)
		if err == nil && chunk.Reserved != want {
			err = fmt.Errorf("%+v, want %d reserved", chunk, want)
		}
		return err
	})
	return e.warmNode(t)
}

// capacityTakeover: the pod selects a label that only the placeholder's node has, so that Karpenter
// has nothing to buy for it.
func capacityTakeover(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	pool := loopPool(loopName, "warm", 1, 1)
	pool.Spec.Chunks[0].Requests = extenderGPUs(8)
	pool.Spec.Mode = v1alpha1.ModeEnforce
	e.create(t, pool)
	node := capacityReserved(t, e, 1)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"test":"here"}}}`))
	if err := e.Client.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, patch); err != nil {
		t.Fatal(err)
	}
	_, open, err := e.stands(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pod := loopPod("ml", "cannot-preempt", 8, map[string]string{"test": "here"})
	pod.Spec.PriorityClassName = "polite"
	e.create(t, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "polite"}, PreemptionPolicy: new(corev1.PreemptNever)})
	started := time.Now()
	e.create(t, pod)
	var refused, gone time.Time
	cluster.Eventually(t, loopWait, func() error {
		current := &corev1.Pod{}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), current); err != nil {
			return err
		}
		if refused.IsZero() && extenderCondition(current) != "" {
			refused = time.Now()
		}
		_, now, err := e.stands(ctx)
		for name := range open {
			if _, stands := now[name]; !stands && gone.IsZero() {
				gone = time.Now()
			}
		}
		if err == nil && (gone.IsZero() || current.Spec.NodeName != node) {
			err = fmt.Errorf("%d placeholders stand, the pod is on %q: %s", len(now), current.Spec.NodeName, extenderCondition(current))
		}
		return err
	})
	if refused.IsZero() {
		refused = started // all of it went faster than we looked
	}
	if took := gone.Sub(refused); took > time.Second {
		t.Errorf("the placeholder went %s after the scheduler had found no room, want a second at most", took)
	}
	t.Logf("the placeholder went %s after the scheduler had found no room; bound %s after that", gone.Sub(refused), time.Since(gone))
	if _, _, preempted, _ := e.pods.counts(); preempted != 0 {
		t.Errorf("%d placeholders were preempted, want none: it was deleted", preempted)
	}
	if err := e.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

// capacityFive wants eight nodes where five are allowed.
const capacityFive = `{"spec":{"sizing":{"maxNodes":5},"chunks":[{"name":"single","requests":{"nvidia.com/gpu":"8"},"waitCostPerHour":"0","idleCostPerHour":"3","min":8,"max":8}]}}`

func capacityLimited(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.patch(t, loopName, capacityFive)
	capacityReserved(t, e, 5)
	limited := func() error {
		pool, chunk, err := e.status(ctx, loopName)
		if err != nil {
			return err
		}
		if chunk.Wanted != 5 || chunk.Limited != 3 || chunk.Pending != 0 || pool.Status.Nodes != 5 {
			return fmt.Errorf("%d nodes, %+v; want 5 of 8", pool.Status.Nodes, chunk)
		}
		c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionLimited)
		if c == nil || c.Reason != "LimitedByMaxNodes" || !strings.HasPrefix(c.Message, "single 5 of 8, limited by spec.sizing.maxNodes") {
			return fmt.Errorf("condition %+v, want 5 of 8 limited by the field", c)
		}
		return nil
	}
	cluster.Eventually(t, loopWait, limited)
	loopNever(t, loopWindow, func() error {
		if err := e.owns(ctx, 5); err != nil {
			return err
		}
		return limited()
	})
}
