package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestNodesAreShared: two pools that ask in one cycle share what max-nodes of the cluster leaves,
// by their priority. No webhook runs that would refuse the nodes.
func TestNodesAreShared(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	ctx := t.Context()
	const standing, left = 2, 3 // the nodes of the environment, and what may come
	body := fmt.Sprintf(`{"metadata":{"annotations":{"forewarm.dev/max-nodes":"%d"}}}`, standing+left)
	if err := e.Client.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		t.Fatal(err)
	}
	for name, priority := range map[string]int32{"plain": 10, "warm": 0} {
		pool := loopPool(name, name, 2, 2)
		pool.Spec.Mode, pool.Spec.Priority = v1alpha1.ModeEnforce, priority
		pool.Spec.Chunks[0].Requests = extenderGPUs(8) // a node each
		e.create(t, pool)
	}
	e.start(t, "reserver", "reserver")
	shared := func() error {
		return errors.Join(e.owns(ctx, left), e.reserved(t, "plain", 2, 0), e.reserved(t, "warm", 1, 1))
	}
	cluster.Eventually(t, loopWait, shared)
	loopNever(t, loopWindow, shared)
	t.Run("the last good ceiling stays in force, also for a successor", func(t *testing.T) { nodesUnread(t, e) })
}

// nodesUnread: a ceiling below what stands is told, and is not lost when its value cannot be read.
func nodesUnread(t *testing.T, e *loopEnv) {
	const name = "plain" // of which two nodes stand
	ctx := t.Context()
	says := func(value string, limit *int64, above metav1.ConditionStatus, reason string) {
		t.Helper()
		e.patch(t, name, `{"metadata":{"annotations":{"forewarm.dev/max-nodes":`+value+`}}}`)
		cluster.Eventually(t, loopWait, func() error {
			pool, _, err := e.status(ctx, name)
			if err != nil {
				return err
			}
			if m := pool.Status.MaxNodes; m == nil || !ptr.Equal(m.Pool, limit) || !ptr.Equal(m.Cluster, new(int64(5))) {
				return fmt.Errorf("with %s: status.maxNodes is %+v, want %v of the pool and 5 of the cluster", value, m, ptr.Deref(limit, -1))
			}
			return loopCondition(pool, v1alpha1.ConditionAboveCeiling, above, reason)
		})
	}
	told := func(times int) {
		t.Helper()
		cluster.Eventually(t, loopWait, func() error {
			var list eventsv1.EventList
			if err := e.Client.List(ctx, &list); err != nil {
				return err
			}
			n := 0
			for _, event := range list.Items {
				if event.Reason == v1alpha1.ReasonCeilingUnreadable && strings.Contains(event.Note, "the last good value, 1, stays in force") {
					n++
				}
			}
			if n != times {
				return fmt.Errorf("told %d times, want %d", n, times)
			}
			return nil
		})
	}
	says(`"1"`, new(int64(1)), metav1.ConditionTrue, v1alpha1.ReasonStandsAboveCeiling)
	if above := e.scrape(t, e.processes["reserver"])["forewarm_capacity_above_ceiling_nodes"]; above != 1 {
		t.Errorf("the metric says %v nodes too many, want 1", above)
	}
	says(`"one"`, new(int64(1)), metav1.ConditionTrue, v1alpha1.ReasonStandsAboveCeiling)
	told(1)
	e.processes["reserver"].Kill()
	e.start(t, "reserver", "reserver-2")
	told(2)
	says(`"one"`, new(int64(1)), metav1.ConditionTrue, v1alpha1.ReasonStandsAboveCeiling)
	says(`null`, nil, metav1.ConditionFalse, v1alpha1.ReasonWithinCeiling)
}

// reserved fails unless a pool holds and lacks so many placeholders.
func (e *loopEnv) reserved(t *testing.T, name string, holds, lacks int32) error {
	_, chunk, err := e.status(t.Context(), name)
	if err == nil && (chunk.Reserved != holds || chunk.Limited != lacks) {
		err = fmt.Errorf("WarmPool %s: %+v, want %d reserved and %d limited", name, chunk, holds, lacks)
	}
	return err
}
