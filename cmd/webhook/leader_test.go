package main

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"forewarm.dev/internal/observe"
	"forewarm.dev/test/cluster"
)

// TestLeader: one replica of two leads, and the other follows when it ends.
func TestLeader(t *testing.T) {
	client := fake.NewClientset()
	start := func() (*leader, func()) {
		l, err := newLeader(client, "forewarm-system", logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Start(ctx) }()
		return l, func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	leads := func(l *leader, want bool) {
		t.Helper()
		cluster.Eventually(t, 20*time.Second, func() error {
			if got := l.leads(); got != want {
				return fmt.Errorf("leads: %t, want %t", got, want)
			}
			return nil
		})
	}
	first, stopFirst := start()
	leads(first, true)
	second, stopSecond := start()
	defer stopSecond()
	if second.leads() {
		t.Error("two lead")
	}
	stopFirst()
	leads(first, false)
	leads(second, true)
}

// TestLeaderEndsWithItsLease: though its elector has not noticed.
func TestLeaderEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := newLeader(fake.NewClientset(), "forewarm-system", logr.Discard())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.lease.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: l.lease.Identity()}); err != nil {
			t.Fatal(err)
		}
		l.elected.Store(true)
		if !l.leads() {
			t.Error("does not lead with its Lease")
		}
		time.Sleep(observe.LeaseDuration)
		if l.leads() {
			t.Error("leads beyond its Lease")
		}
	})
}
