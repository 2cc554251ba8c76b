package integration

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// capacityKilled: of four nodes more, one each second, some are bought when the leader is killed. The
// next one reads its history from a Prometheus that hangs: it holds still, deletes nothing and buys
// nothing. When Prometheus answers again it goes on where the first had stopped.
func capacityKilled(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	capacityReserved(t, e, 1)
	e.patch(t, loopName, capacityFive)
	cluster.Eventually(t, loopWait, func() error {
		_, open, err := e.stands(ctx)
		if err == nil && len(open) < 2 {
			err = fmt.Errorf("%d placeholders, want one more", len(open))
		}
		return err
	})
	if err := syscall.Kill(e.prometheus.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = syscall.Kill(e.prometheus.PID(), syscall.SIGCONT) }
	defer goOn()
	e.processes["reserver"].Kill()
	killed := time.Now()
	gated, open, err := e.stands(ctx)
	if err != nil || len(open) >= 5 {
		t.Fatalf("%d placeholders stood when the leader was killed (%v), want it in the middle of five", len(open), err)
	}
	_, _, _, deleted := e.pods.counts()
	e.settings = fmt.Sprintf("history: {source: Prometheus, prometheus: {url: %q, timeout: 1s}}, ", e.prometheus.URL)
	e.start(t, "reserver", "reserver-2")
	still := func() error {
		nowGated, now, err := e.stands(ctx)
		if err == nil && (!sameUIDs(now, open) || !sameUIDs(nowGated, gated)) {
			err = fmt.Errorf("%d placeholders and %d gated ones, want the %d and %d of when the leader was killed", len(now), len(nowGated), len(open), len(gated))
		}
		if _, _, _, gone := e.pods.counts(); gone != deleted {
			err = errors.Join(err, fmt.Errorf("%d placeholders were deleted", gone-deleted))
		}
		return err
	}
	held := func() error {
		pool, _, err := e.status(ctx, loopName)
		return errors.Join(err, loopCondition(pool, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonHeldStill))
	}
	cluster.Eventually(t, loopWait, func() error {
		if err := still(); err != nil {
			t.Fatal(err)
		}
		return held()
	})
	t.Logf("killed with %d of 5; the next one leads and holds still %s later", len(open), time.Since(killed).Round(time.Second))
	loopNever(t, loopWindow, func() error { return errors.Join(still(), held(), e.owns(ctx, len(open))) })
	goOn()
	capacityReserved(t, e, 5)
	_, after, err := e.stands(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, pod := range open {
		if after[name].UID != pod.UID {
			t.Errorf("placeholder %s, which the killed leader made, is gone", name)
		}
	}
}
