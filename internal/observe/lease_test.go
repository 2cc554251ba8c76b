package observe

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// answering is a lock that answers every write alike.
type answering struct {
	resourcelock.Interface
	err error
}

func (a *answering) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	return a.err
}

func (a *answering) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	return a.err
}

// TestLease: it lasts for as long as it is renewed, and what runs by it ends at once when it runs out.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock := &answering{}
		l := &Lease{Interface: lock}
		if l.Lasts() {
			t.Error("lasts before it is held")
		}
		if err := l.Create(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil || !l.Lasts() {
			t.Errorf("created: %v, lasts %t", err, l.Lasts())
		}
		began := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- l.Start(t.Context()) }()
		for range 3 {
			time.Sleep(10 * time.Second)
			if err := l.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil || !l.Lasts() {
				t.Errorf("renewed: %v, lasts %t", err, l.Lasts())
			}
		}
		lock.err = errors.New("somebody else's")
		time.Sleep(10 * time.Second)
		if err := l.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err == nil || !l.Lasts() {
			t.Errorf("not renewed: %v, lasts %t", err, l.Lasts())
		}
		if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), "leader election lost") {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(began); took != 30*time.Second+LeaseDuration || l.Lasts() {
			t.Errorf("ended %s after it was made, lasts %t; want 15 s after the last renewal", took, l.Lasts())
		}
	})
}

// TestLeaseEndsWithItsLeader: who stops leading is not said to have lost it.
func TestLeaseEndsWithItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Lease{Interface: &answering{}}
		if err := l.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Start(ctx) }()
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
