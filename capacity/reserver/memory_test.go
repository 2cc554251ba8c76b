package reserver

import (
	"testing"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
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

// TestWhatIsPaidForIsKept: a chunk is kept for the longest of hold, minimum billing and one interval, the time
// that plans weigh.
func TestWhatIsPaidForIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		hold, minBilling, interval, kept time.Duration
	}{
		"hold":            {10 * time.Minute, 0, time.Minute, 10 * time.Minute},
		"minimum billing": {10 * time.Minute, time.Hour, time.Minute, time.Hour},
		"interval":        {time.Minute, 0, 15 * time.Minute, 15 * time.Minute},
	} {
		r := takeoverReserver(t)
		pool := &v1alpha1.WarmPool{}
		pool.Name, pool.Spec.Forecast.Interval.Duration = "a100", c.interval
		pool.Spec.Sizing.Hold.Duration, pool.Spec.Sizing.MinBilling.Duration = c.hold, c.minBilling
		now := time.Now()
		wants := func(n int64) capacity.Result {
			return capacity.Result{Chunks: []capacity.ChunkPlan{{Name: "node", Wanted: n}}}
		}
		r.remember(pool, wants(3), now)
		for after, want := range map[time.Duration]int64{
			c.kept - time.Second: 5, // less than the hold time has been seen: all that is held
			c.kept:               3,
		} {
			if got := r.kept(pool, "node", 5, r.young(pool, now.Add(after))); got != want {
				t.Errorf("%s: after %s %d are kept, want %d", name, after, got, want)
			}
		}
		r.remember(pool, wants(0), now.Add(c.kept+time.Second))
		if got := r.kept(pool, "node", 5, false); got != 0 {
			t.Errorf("%s: %d are kept past the time", name, got)
		}
	}
}
