package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// pollEvery is how often a condition is looked at.
const pollEvery = 100 * time.Millisecond

// startTimeout bounds each step of Start, for a machine that is busy with other things.
const startTimeout = 2 * time.Minute

// Eventually fails the test unless condition returns nil within timeout.
func Eventually(t testing.TB, timeout time.Duration, condition func() error) {
	t.Helper()
	if err := Wait(t.Context(), timeout, condition); err != nil {
		t.Fatal(err)
	}
}

// Wait returns when condition returns nil, which it asks ten times a second; after timeout it
// fails with what the condition said last.
func Wait(ctx context.Context, timeout time.Duration, condition func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not within %s", timeout))
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if final, ok := errors.AsType[*finalError](err); ok {
			return final.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// finalError ends the wait at once: the condition can no longer come true.
type finalError struct{ error }

// poll waits for condition during the start; it fails early when a process has died.
func (c *Cluster) poll(ctx context.Context, what string, condition func() error) error {
	err := Wait(ctx, startTimeout, func() error {
		err := condition()
		if err == nil {
			return nil
		}
		if dead := c.anyDead(); dead != nil {
			return &finalError{dead}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

// anyDead reports a component that ended by itself.
func (c *Cluster) anyDead() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, p := range c.processes {
		if c.endpoints[p.Name] == (Endpoint{}) {
			continue // not a component: whoever started it watches it
		}
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}
