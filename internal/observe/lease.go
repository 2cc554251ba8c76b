package observe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseDuration is how long a Lease lasts that is not renewed, RenewDeadline how long its holder tries
// to, and RetryPeriod how often.
const (
	LeaseDuration = 15 * time.Second
	RenewDeadline = 10 * time.Second
	RetryPeriod   = 2 * time.Second
)

// Lease is the lock by which replicas agree on a leader, and knows whether this process still holds it.
// The elector of client-go does not tell at once: where its process was stopped for longer than the
// Lease lasts, it tries to renew for RenewDeadline more, and leads beside its successor meanwhile.
type Lease struct {
	resourcelock.Interface
	// renewed is when this process asked for the last renewal that was made, by the clock that does not jump;
	// nil once the Lease is given up or another's.
	renewed atomic.Pointer[time.Time]
	// lost has an element when it may have become that.
	lost chan struct{}
}

// NewLease makes the lock of a Lease, with an identity of its own.
func NewLease(clients kubernetes.Interface, namespace, name string) (*Lease, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find the name of this host: %w", err)
	}
	identity := host + "_" + string(uuid.NewUUID())
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, name,
		clients.CoreV1(), clients.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return nil, fmt.Errorf("make the lock of Lease %s/%s: %w", namespace, name, err)
	}
	return over(lock), nil
}

func over(lock resourcelock.Interface) *Lease {
	return &Lease{Interface: lock, lost: make(chan struct{}, 1)}
}

// Get reads the Lease, and notes when it is another's: a process may have been stopped together with
// its clock.
func (l *Lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != "" && record.HolderIdentity != l.Identity() {
		l.lose()
	}
	return record, raw, err
}

// Create makes the Lease.
func (l *Lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	asked := time.Now()
	return l.note(asked, l.Interface.Create(ctx, record))
}

// Update takes, renews or releases the Lease. One that has run out is not released: the elector, which
// may not know that it is another's, would take it from that one.
func (l *Lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == "" {
		if !l.Lasts() {
			return errors.New("the Lease has run out or is another's: it is not released")
		}
		l.lose()
		return l.Interface.Update(ctx, record)
	}
	asked := time.Now()
	return l.note(asked, l.Interface.Update(ctx, record))
}

func (l *Lease) lose() {
	l.renewed.Store(nil)
	select {
	case l.lost <- struct{}{}:
	default:
	}
}

func (l *Lease) note(asked time.Time, err error) error {
	if err == nil {
		l.renewed.Store(&asked)
	}
	return err
}

// left is how long the Lease lasts still, as far as this process knows.
func (l *Lease) left() time.Duration {
	renewed := l.renewed.Load()
	if renewed == nil {
		return 0
	}
	return LeaseDuration - time.Since(*renewed)
}

// Lasts says whether no other process can have taken the Lease from a leader yet.
func (l *Lease) Lasts() bool { return l.left() > 0 }

// Start runs on the leader until ctx ends, and fails as soon as the Lease has run out or is seen to be
// another's, so that the manager ends with all that it runs.
func (l *Lease) Start(ctx context.Context) error {
	for {
		left := l.left()
		if left <= 0 {
			return fmt.Errorf("leader election lost: the Lease was not renewed for %s, or is another's", LeaseDuration)
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-l.lost:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// NeedLeaderElection is true: who does not lead has no Lease to lose.
func (l *Lease) NeedLeaderElection() bool { return true }
