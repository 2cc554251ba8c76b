package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestFrozenLeader: a reserver is stopped for longer than its Lease lasts, and another one leads. When it goes on it
// ends at once instead of leading beside its successor, and leaves the Lease to that one.
func TestFrozenLeader(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	pool := loopPool(loopName, "warm", 1, 4)
	pool.Spec.Mode = v1alpha1.ModeEnforce
	e.create(t, pool)
	first := e.start(t, "reserver", "reserver-1")
	capacityReserved(t, e, 1)
	e.start(t, "reserver", "reserver-2")
	holder := func() string {
		lease := &coordinationv1.Lease{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "forewarm-reserver"}, lease); err != nil || lease.Spec.HolderIdentity == nil {
			t.Fatalf("no Lease, or nobody's: %v", err)
		}
		return *lease.Spec.HolderIdentity
	}
	before := holder()
	first.Pause()
	frozen := time.Now()
	cluster.Eventually(t, loopWait, func() error {
		if holder() == before {
			return errors.New("nobody has taken the Lease")
		}
		return nil
	})
	after := holder()
	first.Resume()
	resumed := time.Now()
	cluster.Eventually(t, 5*time.Second, func() error { // the elector alone takes 10 s
		select {
		case <-first.Done():
			return nil
		default:
			return errors.New("leads on beside its successor")
		}
	})
	t.Logf("another leads %s later; the first ended %s after it went on", resumed.Sub(frozen).Round(time.Second), time.Since(resumed).Round(time.Millisecond))
	if log := first.Log(); !strings.Contains(log, "leader election lost") {
		t.Errorf("it does not say why it ended:\n%s", log)
	}
	loopNever(t, loopWindow, func() error {
		if now := holder(); now != after {
			return fmt.Errorf("the Lease went from %s to %s", after, now)
		}
		return nil
	})
	e.patch(t, loopName, capacityFive)
	capacityReserved(t, e, 5)
}
