package integration

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestBlind: a leader loses what it plans by while it runs. Its Prometheus hangs: it goes on by what it has in memory.
// Then it may not see pods and nodes any more: what it wants freezes, though its pool is changed to want more, and then
// none; nothing is made, opened or deleted; status says why; and it goes on when it may see again.
func TestBlind(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	ctx := t.Context()
	e.settings = fmt.Sprintf("history: {source: Prometheus, prometheus: {url: %q, timeout: 1s}}, ", e.prometheus.URL)
	pool := loopPool(loopName, "warm", 2, 4)
	pool.Spec.Mode = v1alpha1.ModeEnforce
	e.create(t, pool)
	e.start(t, "reserver", "reserver")
	capacityReserved(t, e, 2)
	gated, open, err := e.stands(ctx)
	if err != nil {
		t.Fatal(err)
	}
	made, _, _, deleted := e.pods.counts()
	still := func() error {
		nowGated, now, err := e.stands(ctx)
		if err == nil && (!sameUIDs(now, open) || !sameUIDs(nowGated, gated)) {
			err = fmt.Errorf("%d placeholders and %d gated ones, want the same %d and %d", len(now), len(nowGated), len(open), len(gated))
		}
		if all, _, _, gone := e.pods.counts(); all != made || gone != deleted {
			err = errors.Join(err, fmt.Errorf("%d placeholders were made and %d deleted", all-made, gone-deleted))
		}
		return errors.Join(err, e.owns(ctx, 1))
	}
	ready := func(status metav1.ConditionStatus, reason string) error {
		pool, _, err := e.status(ctx, loopName)
		return errors.Join(err, loopCondition(pool, v1alpha1.ConditionReady, status, reason))
	}

	if err := syscall.Kill(e.prometheus.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(e.prometheus.PID(), syscall.SIGCONT) }()
	loopNever(t, loopWindow, func() error { return errors.Join(still(), ready(metav1.ConditionTrue, v1alpha1.ReasonReserved)) })

	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "forewarm-reserver"}}
	if err := e.Client.Get(ctx, client.ObjectKeyFromObject(role), role); err != nil {
		t.Fatal(err)
	}
	rules := role.Rules
	role.Rules = nil
	for _, rule := range rules {
		if rule.Resources[0] != "nodes" {
			role.Rules = append(role.Rules, rule)
		}
	}
	if err := e.Client.Update(ctx, role); err != nil || len(role.Rules) != len(rules)-1 {
		t.Fatalf("%d of %d rules are left, %v; want all but one", len(role.Rules), len(rules), err)
	}
	e.MayBeForbidden("forewarm-reserver may not list /api/v1/")
	blind := time.Now()
	for _, bounds := range [][2]int{{4, 4}, {0, 0}} {
		e.patch(t, loopName, fmt.Sprintf(`{"spec":{"chunks":[{"name":"single","requests":{"nvidia.com/gpu":"1"},"waitCostPerHour":"0","idleCostPerHour":"3","min":%d,"max":%d}]}}`, bounds[0], bounds[1]))
		cluster.Eventually(t, loopWait, func() error { return ready(metav1.ConditionFalse, v1alpha1.ReasonHeldStill) })
		t.Logf("status says that it holds still %s after it could not see any more", time.Since(blind).Round(time.Millisecond))
		loopNever(t, loopWindow, func() error { return errors.Join(still(), ready(metav1.ConditionFalse, v1alpha1.ReasonHeldStill)) })
	}
	role.Rules = rules
	if err := e.Client.Update(ctx, role); err != nil {
		t.Fatal(err)
	}
	e.patch(t, loopName, `{"spec":{"chunks":[{"name":"single","requests":{"nvidia.com/gpu":"1"},"waitCostPerHour":"0","idleCostPerHour":"3","min":3,"max":4}]}}`)
	capacityReserved(t, e, 3)
	_, after, err := e.stands(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, pod := range open {
		if after[name].UID != pod.UID {
			t.Errorf("placeholder %s, which stood before, is gone", name)
		}
	}
}
