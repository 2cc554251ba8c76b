package watch

import (
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

// Epochs follows the scheduler's Lease: what one scheduler had in mind is void once another leads.
type Epochs struct {
	Index   *handler.Index
	Metrics *metrics.Metrics
	// Audit is told to audit at once.
	Audit chan<- struct{}

	mu     sync.Mutex
	holder string
}

// heldFor is how long a Lease may not have been renewed for its holder to count: many times as long as one
// lasts, since clocks differ.
const heldFor = 5 * time.Minute

// Follow feeds the events of the Lease, which alone the informer must hold.
func (e *Epochs) Follow(informer cache.Informer) error {
	_, err := feed(informer, e.See, func(*coordinationv1.Lease) { e.Index.Leaderless(true) })
	return err
}

// See takes in the Lease.
func (e *Epochs) See(lease *coordinationv1.Lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := ""
	if lease.Spec.HolderIdentity != nil {
		now = *lease.Spec.HolderIdentity
	}
	if renewed := lease.Spec.RenewTime; renewed != nil && time.Since(renewed.Time) > heldFor {
		now = "" // left behind
	}
	e.Index.Leaderless(now == "")
	if now == "" || now == e.holder {
		return
	}
	first := e.holder == ""
	e.holder = now
	if first {
		return
	}
	e.Metrics.AnotherScheduler()
	e.Index.Reconcile()
	select {
	case e.Audit <- struct{}{}:
	default: // one is due anyway
	}
}
