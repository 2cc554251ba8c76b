package reserver

import (
	"testing"
	"time"

	"forewarm.dev/api/v1alpha1"
)

// TestDueWhateverTheTimeIsSetTo: the end of an interval is on the grid of the clock on the wall, and is
// compared by the monotonic one, so that no plan waits for as long as the time was set back.
func TestDueWhateverTheTimeIsSetTo(t *testing.T) {
	r := takeoverReserver(t)
	pool := &v1alpha1.WarmPool{}
	pool.Name, pool.Spec.Forecast.Interval.Duration = "a100", time.Minute
	now := time.Now()
	if !r.due(pool, now) || r.due(pool, now) {
		t.Fatal("a new pool is not due once")
	}
	due := r.memoryOf(pool, now).due
	if due.String() == due.Round(0).String() {
		t.Error("the time at which a pool is due has no monotonic reading")
	}
	if !due.Equal(due.Truncate(time.Minute)) || due.Sub(now) > time.Minute || due.Sub(now) <= 0 {
		t.Errorf("due at %s, want the next whole minute after %s", due, now)
	}
}
