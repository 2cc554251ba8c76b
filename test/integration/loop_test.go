package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestLoop shows the main loop on a real control plane with Karpenter. The parts run in
// this order; the later ones stand on what the earlier ones made.
func TestLoop(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *loopEnv)
	}{
		{"Observe shows a plan and changes nothing", loopObserve},
		{"Enforce buys one node for what is wanted", loopEnforce},
		{"only the reserver makes and opens placeholders", reserverGuards},
		{"the lead time is measured", reserverLead},
		{"who is not of the class takes no placeholder", loopOutsider},
		{"a killed reserver's successor keeps history and placeholders", loopRestart},
		{"a forecast is made by the version that an admin writes", loopModel},
		{"a takeover buys no node, with the reserver up", loopTakeoverUp},
		{"nor with the reserver down", loopTakeoverDown},
		{"with the extender dead, scheduling goes on", loopExtenderDead},
		{"a WarmPool that cannot work says so", reserverConditions},
		{"a WarmPool that makes no sense is refused", reserverRefused},
		{"forewarmctl prints the pool", reserverStatus},
		{"a process that cannot start says why", reserverCannotStart},
		{"the samples apply", samplesApply},
		{"the console shows the pool", loopConsole},
		{"the metrics are documented", samplesMetrics},
		{"every panel of the dashboards shows something", loopDashboards},
		{"a quiet cluster logs nothing", loopQuiet},
		{"no log holds a secret", loopSecrets},
		{"our roles suffice", loopRoles},
		{"our processes write their annotations and no more", loopTouch},
		{"a minute after the takeovers no node has been bought for them", loopMinute},
		{"with all processes dead, the cluster works", loopOutage},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, e) }) {
			for _, p := range e.processes {
				t.Logf("log of %s:\n%s", p.Name, p.Log())
			}
			t.FailNow() // the next part stands on this one
		}
	}
}

const (
	loopName = "gpus"
	// loopHeld placeholders stand on one node, loopMost at most are made.
	loopHeld, loopMost = 4, 5
)

// status reads the pool and its only chunk.
func (e *loopEnv) status(ctx context.Context, name string) (*v1alpha1.WarmPool, v1alpha1.ChunkStatus, error) {
	pool := &v1alpha1.WarmPool{}
	if err := e.Client.Get(ctx, client.ObjectKey{Name: name}, pool); err != nil {
		return pool, v1alpha1.ChunkStatus{}, err
	}
	if pool.Status.ObservedGeneration != pool.Generation || len(pool.Status.Chunks) != 1 {
		return pool, v1alpha1.ChunkStatus{}, fmt.Errorf("WarmPool %s: status is of generation %d, want %d: %+v", name, pool.Status.ObservedGeneration, pool.Generation, pool.Status)
	}
	return pool, pool.Status.Chunks[0], nil
}

// patch changes the spec of a WarmPool.
func (e *loopEnv) patch(t *testing.T, name, body string) {
	t.Helper()
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := e.Client.Patch(t.Context(), pool, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		t.Fatal(err)
	}
}

// loopCondition fails unless a pool has a condition with that status and reason.
func loopCondition(pool *v1alpha1.WarmPool, name string, status metav1.ConditionStatus, reason string) error {
	c := meta.FindStatusCondition(pool.Status.Conditions, name)
	if c == nil || c.Status != status || c.Reason != reason {
		return fmt.Errorf("WarmPool %s: condition %s is %+v, want %s %s", pool.Name, name, c, status, reason)
	}
	return nil
}

// bought counts Karpenter's nodes and NodeClaims.
func (e *loopEnv) bought(ctx context.Context) (nodes, claims int, err error) {
	var list corev1.NodeList
	if err := e.Client.List(ctx, &list, client.HasLabels{"karpenter.sh/nodepool"}); err != nil {
		return 0, 0, err
	}
	var claimed unstructured.UnstructuredList
	claimed.SetAPIVersion("karpenter.sh/v1")
	claimed.SetKind("NodeClaimList")
	err = e.Client.List(ctx, &claimed)
	return len(list.Items), len(claimed.Items), err
}

// owns fails unless Karpenter has exactly that many nodes.
func (e *loopEnv) owns(ctx context.Context, want int) error {
	nodes, claims, err := e.bought(ctx)
	if err == nil && (nodes != want || claims != want) {
		err = fmt.Errorf("%d nodes and %d NodeClaims of Karpenter, want %d", nodes, claims, want)
	}
	return err
}

// stands lists the placeholders by name, gated ones apart.
func (e *loopEnv) stands(ctx context.Context) (gated, open map[string]corev1.Pod, err error) {
	var list corev1.PodList
	gated, open = map[string]corev1.Pod{}, map[string]corev1.Pod{}
	err = e.Client.List(ctx, &list, client.InNamespace(v1alpha1.PlaceholderNamespace))
	for i := range list.Items {
		if len(list.Items[i].Spec.SchedulingGates) > 0 {
			gated[list.Items[i].Name] = list.Items[i]
		} else {
			open[list.Items[i].Name] = list.Items[i]
		}
	}
	return gated, open, err
}

func loopObserve(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.start(t, "extender", "extender")
	e.start(t, "reserver", "reserver-1")
	e.create(t, loopPool(loopName, "warm", loopHeld, loopMost))
	observed := func() error {
		pool, chunk, err := e.status(ctx, loopName)
		if err != nil {
			return err
		}
		plan := pool.Status.LastPlan
		if pool.Spec.Mode != v1alpha1.ModeObserve || chunk.Wanted != loopHeld || plan == nil || plan.Applied || plan.Create != loopMost || plan.Ungate != loopHeld {
			return fmt.Errorf("mode %s, chunk %+v, plan %+v; want Observe, %d wanted, %d creates and as many ungates as wanted, not applied", pool.Spec.Mode, chunk, plan, loopHeld, loopMost)
		}
		return loopCondition(pool, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonObserving)
	}
	cluster.Eventually(t, loopWait, observed)
	loopNever(t, loopWindow, func() error {
		if made, _, _, _ := e.pods.counts(); made != 0 {
			return fmt.Errorf("%d placeholders made", made)
		}
		err := e.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.PlaceholderPriorityClass}, &schedulingv1.PriorityClass{})
		if client.IgnoreNotFound(err) != nil || err == nil {
			return fmt.Errorf("the PriorityClass was made: %w", err)
		}
		if err := e.owns(ctx, 0); err != nil {
			return err
		}
		return observed()
	})
	loopScorecard(t, e)
	wrote := map[string]bool{}
	for _, event := range e.writes(t, "reserver") {
		wrote[event.what()] = true
	}
	for what := range wrote {
		switch what {
		case "warmpools/status", "demandhistories", "forecastmodels", "forecastmodels/status", "decisions", "leases", "events", "selfsubjectaccessreviews":
		default:
			t.Errorf("in Observe the reserver wrote %s", what)
		}
	}
	if !wrote["warmpools/status"] || !wrote["demandhistories"] || !wrote["leases"] {
		t.Errorf("the audit log shows writes to %v only: does it work?", wrote)
	}
}

func loopEnforce(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.patch(t, loopName, `{"spec":{"mode":"Enforce"}}`)
	started := time.Now()
	reserved := func() error {
		pool, chunk, err := e.status(ctx, loopName)
		if err != nil {
			return err
		}
		if chunk.Wanted != loopHeld || chunk.Reserved != loopHeld || chunk.Pending != 0 || chunk.Gated != 1 || pool.Status.Nodes != 1 || pool.Status.Scorecard != nil {
			return fmt.Errorf("%d nodes, %+v; want 1 node, %d wanted and reserved, 1 gated", pool.Status.Nodes, chunk, loopHeld)
		}
		if p := chunk.Policy; p == nil || p.Kind != "Forecast" || p.Reason != "ShortHistory" || chunk.PerNode != 8 {
			return fmt.Errorf("policy %+v, %d per node; want the forecast, since the history is short, and 8", p, chunk.PerNode)
		}
		return loopCondition(pool, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReserved)
	}
	cluster.Eventually(t, loopWait, reserved)
	t.Logf("reserved %s after Enforce, of which a node takes %s to boot", time.Since(started).Round(10*time.Millisecond), loopBoot)
	loopNever(t, loopWindow, func() error {
		if err := e.owns(ctx, 1); err != nil {
			return err
		}
		if made, ungated, preempted, deleted := e.pods.counts(); made != loopMost || ungated != 0 || preempted != 0 || deleted != 0 {
			return fmt.Errorf("%d placeholders made, %d of them without a gate, %d preempted, %d deleted; want %d 0 0 0", made, ungated, preempted, deleted, loopMost)
		}
		return reserved()
	})
	_, open, err := e.stands(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, pod := range open {
		if pod.Status.Phase != corev1.PodRunning || pod.Spec.NodeName == "" || *pod.Spec.Priority != -10 {
			t.Errorf("placeholder %s is %s on %q with priority %d", name, pod.Status.Phase, pod.Spec.NodeName, *pod.Spec.Priority)
		}
	}
	e.scrape(t, e.processes["reserver"])
}
