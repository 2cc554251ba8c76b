package handler

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

// TestPodsMayHaveWhatTheirPoolTurnsTo: while a pool gets no nodes, another keeps capacity for its pods.
func TestPodsMayHaveWhatTheirPoolTurnsTo(t *testing.T) {
	x := cluster()
	other := warmPool(1)
	other.Name = "a10"
	other.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "a10"}
	other.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "others"}
	x.SetPool(other)
	x.SetNode(node("a10-1", "a10"))
	fits := func() bool {
		return x.Filter(pod("ml", "p", "", "1"), []string{"a10-1"})[0].Reason == ""
	}
	if fits() {
		t.Error("a pod of another class may have it")
	}
	out := warmPool(1)
	out.Status.Supply = &v1alpha1.SupplyStatus{State: "Open", Diverted: []v1alpha1.DivertedChunk{{Pool: "a10"}, {Pool: "a10"}}}
	x.SetPool(out)
	if got := x.pod(pod("ml", "p", "", "1")).Classes; !slices.Equal(got, []string{"a100", "a10"}) {
		t.Errorf("the pod is of classes %v", got)
	}
	if !fits() {
		t.Error("a pod may not have what is kept for its pool")
	}
}

// TestASilentReserverIsNotBelievedForEver: pods are refused for its sake until it has been silent for long,
// and tried again then.
func TestASilentReserverIsNotBelievedForEver(t *testing.T) {
	began := time.Now()
	planned := func(after time.Duration) *v1alpha1.WarmPool {
		p := warmPool(2)
		p.Status.Planned = new(metav1.NewTime(began.Add(after)))
		return p
	}
	slow, never := planned(0), planned(0)
	slow.Spec.Forecast.Interval.Duration = time.Hour
	never.Spec.Borrow = v1alpha1.BorrowNever
	for name, c := range map[string]struct {
		pool  *v1alpha1.WarmPool
		after time.Duration
		again *v1alpha1.WarmPool // seen then
		holds bool
	}{
		"silent for a while":               {pool: planned(0), after: 9 * time.Minute, holds: true},
		"silent for long":                  {pool: planned(0), after: 11 * time.Minute},
		"silent for long before we began":  {pool: planned(-time.Hour), after: time.Second},
		"it plans once an hour":            {pool: slow, after: 2 * time.Hour, holds: true},
		"three of its hours":               {pool: slow, after: 4 * time.Hour},
		"lent never":                       {pool: never, after: 24 * time.Hour, holds: true},
		"of a version that does not say":   {pool: warmPool(2), after: 24 * time.Hour, holds: true},
		"it is back":                       {pool: planned(0), after: time.Hour, again: planned(time.Hour), holds: true},
		"it is back, by a slow clock":      {pool: planned(0), after: time.Hour, again: planned(time.Minute), holds: true},
		"another change of the same pool":  {pool: planned(0), after: time.Hour, again: planned(0)},
		"its clock is ahead, and it stops": {pool: planned(time.Hour), after: 11 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			x := cluster()
			x.now = func() time.Time { return began }
			x.DropPool(c.pool)
			x.SetPool(c.pool)
			x.SetPod(refusedPod("p", 0))
			later(x, c.after)
			if c.again != nil {
				x.SetPool(c.again)
			}
			x.Expire()
			refused := x.Filter(pod("web", "other", "", "1"), []string{"warm-1"})[0].Refuses()
			_, _, due := x.Due()
			if silent := x.Silent() > 0; refused != c.holds || due && c.again == nil && c.holds || !due && !c.holds || silent == c.holds && c.pool != never {
				t.Errorf("refused %t, to be touched %t, silent %t; want the pool to hold: %t", refused, due, silent, c.holds)
			}
		})
	}
}

// TestNothingIsHeldBeforeItIsApproved: a wish is none of the pool's placeholders yet.
func TestNothingIsHeldBeforeItIsApproved(t *testing.T) {
	x := cluster()
	for name, c := range map[string]struct {
		chunk v1alpha1.ChunkStatus
		holds bool
	}{
		"wanted":                  {v1alpha1.ChunkStatus{Wanted: 2, Gated: 2}, false},
		"on its way":              {v1alpha1.ChunkStatus{Wanted: 2, Pending: 1}, true},
		"there":                   {v1alpha1.ChunkStatus{Wanted: 2, Reserved: 1}, true},
		"there, and not expected": {v1alpha1.ChunkStatus{Reserved: 1}, false},
	} {
		p := warmPool(0)
		p.Spec.Mode, p.Status.Chunks = v1alpha1.ModeApprove, []v1alpha1.ChunkStatus{c.chunk}
		x.SetPool(p)
		if got := x.holding("a100"); got != c.holds {
			t.Errorf("%s: holding %t", name, got)
		}
	}
}
