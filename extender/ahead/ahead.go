// Package ahead makes room for pods before the scheduler tries them: it deletes the placeholders that
// they are given.
package ahead

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

const (
	// writers delete at a time.
	writers = 16
	// lookEvery is how soon it goes on that was held up by the limit of deletions.
	lookEvery = 20 * time.Millisecond
	// writeWithin bounds one deletion.
	writeWithin = 5 * time.Second
)

// Clearer deletes what the index gives ahead of the scheduler.
type Clearer struct {
	Index   *handler.Index
	Client  client.Client
	Metrics *metrics.Metrics
	Log     logr.Logger
	// On says to do anything. It must be off where the scheduler may call another replica about the
	// next pod of a burst, which would give the same pods placeholders too.
	On bool
}

// NeedLeaderElection says that each replica does this; only the one is asked whose scheduler leads.
func (c *Clearer) NeedLeaderElection() bool { return false }

// Start goes on until ctx ends.
func (c *Clearer) Start(ctx context.Context) error {
	if !c.On {
		return nil
	}
	some := c.Index.ServeAhead()
	var look <-chan time.Time // nil while nothing is held up
	var writing sync.WaitGroup
	defer writing.Wait()
	free := make(chan struct{}, writers)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look:
		case <-some:
		}
		for placeholders, ok := c.Index.Ahead(); ok; placeholders, ok = c.Index.Ahead() {
			for _, p := range placeholders {
				select {
				case <-ctx.Done():
					return nil
				case free <- struct{}{}:
				}
				writing.Go(func() {
					defer func() { <-free }()
					c.delete(ctx, p)
				})
			}
		}
		if look = nil; c.Index.HeldUp() {
			look = time.After(lookEvery)
		}
	}
}

// delete deletes one placeholder, unless nobody needs it any more.
func (c *Clearer) delete(ctx context.Context, placeholder handler.PodRef) {
	if !c.Index.Send(placeholder.UID) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: placeholder.Namespace, Name: placeholder.Name}}
	err := client.IgnoreNotFound(c.Client.Delete(ctx, target, client.GracePeriodSeconds(0), client.Preconditions{UID: &placeholder.UID}))
	if err != nil {
		c.Index.Unsent(placeholder.UID)
		c.Log.Error(err, "Placeholder not deleted ahead; the scheduler preempts it", "placeholder", placeholder.NamespacedName)
	} else {
		c.Log.V(1).Info("Deleted a placeholder ahead of the scheduler", "placeholder", placeholder.NamespacedName)
	}
	c.Metrics.Cleared(err)
}
