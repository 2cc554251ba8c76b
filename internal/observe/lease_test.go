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

// answering is a lock that answers every write alike, and is held by whom it says.
type answering struct {
	resourcelock.Interface
	err    error
	holder string
	writes int
}

func (a *answering) Identity() string { return "we" }

func (a *answering) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &resourcelock.LeaderElectionRecord{HolderIdentity: a.holder}, nil, nil
}

var ours = resourcelock.LeaderElectionRecord{HolderIdentity: "we"}

func (a *answering) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	a.writes++
	return a.err
}

func (a *answering) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	a.writes++
	return a.err
}

// TestLease: it lasts for as long as it is renewed, and what runs by it ends at once when it runs out.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock := &answering{}
		l := over(lock)
		if l.Lasts() {
			t.Error("lasts before it is held")
		}
		if err := l.Create(t.Context(), ours); err != nil || !l.Lasts() {
			t.Errorf("created: %v, lasts %t", err, l.Lasts())
		}
		began := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- l.Start(t.Context()) }()
		for range 3 {
			time.Sleep(10 * time.Second)
			if err := l.Update(t.Context(), ours); err != nil || !l.Lasts() {
				t.Errorf("renewed: %v, lasts %t", err, l.Lasts())
			}
		}
		lock.err = errors.New("somebody else's")
		time.Sleep(10 * time.Second)
		if err := l.Update(t.Context(), ours); err == nil || !l.Lasts() {
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
		l := over(&answering{})
		if err := l.Update(t.Context(), ours); err != nil {
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

// TestLeaseOfAnother: who reads that another holds the Lease has lost it at once, by whatever clock.
func TestLeaseOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock := &answering{}
		l := over(lock)
		for _, held := range []string{"we", ""} {
			lock.holder = held
			if err := l.Update(t.Context(), ours); err != nil {
				t.Fatal(err)
			}
			if _, _, err := l.Get(t.Context()); err != nil || !l.Lasts() {
				t.Errorf("held by %q: %v, lasts %t", held, err, l.Lasts())
			}
		}
		ended := make(chan error, 1)
		go func() { ended <- l.Start(t.Context()) }()
		lock.holder = "another"
		if _, _, err := l.Get(t.Context()); err != nil || l.Lasts() {
			t.Errorf("another's: %v, lasts %t", err, l.Lasts())
		}
		synctest.Wait()
		select {
		case err := <-ended:
			if err == nil {
				t.Error("ended without an error")
			}
		default:
			t.Error("leads on")
		}
	})
}

// TestLeaseIsGivenUp: from when on that is asked for, and only while nobody else can hold it.
func TestLeaseIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock, released := &answering{}, resourcelock.LeaderElectionRecord{}
		l := over(lock)
		if err := l.Update(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
		if err := l.Update(t.Context(), released); err != nil || l.Lasts() || lock.writes != 2 {
			t.Errorf("given up: %v, lasts %t, %d writes", err, l.Lasts(), lock.writes)
		}
		if err := l.Update(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
		time.Sleep(LeaseDuration)
		if err := l.Update(t.Context(), released); err == nil || lock.writes != 3 {
			t.Errorf("run out, and given up all the same: %v, %d writes", err, lock.writes)
		}
	})
}
