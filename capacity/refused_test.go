package capacity

import (
	"testing"
	"time"
)

// TestNoMoreIsUngatedWhileAutoscalersRefuse: nine are wanted. What stands, what waits and what has room stays, until
// the autoscaler's newest word is another one.
func TestNoMoreIsUngatedWhileAutoscalersRefuse(t *testing.T) {
	standing := append(held(3), Placeholder{Name: "w-1", Stage: Pending}, Placeholder{Name: "w-2", Stage: Pending})
	for name, c := range map[string]struct {
		refused         bool
		supply          BreakerState
		room            int64
		wanted, limited int64
		reason          Reason
		ungated         int
		deleted         int
	}{
		"nodes come":                    {false, Closed, 0, 9, 0, ReasonForecast, 4, 0},
		"nodes are refused":             {true, Closed, 0, 5, 4, ReasonRefused, 0, 0},
		"some have room":                {true, Closed, 4, 7, 2, ReasonRefused, 2, 0},
		"the breaker has opened":        {true, Open, 0, 3, 6, ReasonStockOut, 0, 2},
		"one is tried":                  {true, HalfOpen, 0, 4, 5, ReasonStockOut, 0, 1},
		"refused, and there is room":    {true, Closed, 99, 9, 0, ReasonForecast, 4, 0},
		"no room for those that wait":   {true, Closed, 1, 5, 4, ReasonRefused, 0, 0},
		"come, and some have room":      {false, Closed, 4, 9, 0, ReasonForecast, 4, 0},
		"the breaker has opened, again": {false, Open, 0, 3, 6, ReasonStockOut, 0, 2},
	} {
		limits := limitsOf(single)
		limits.Supply = c.supply
		state := State{Chunks: []ChunkState{{Refused: c.refused, Room: c.room, Placeholders: standing}}}
		got := Plan(Demand{Chunks: []ChunkDemand{rising(0, 9)}}, state, limits, now)
		if plan := got.Chunks[0]; plan.Wanted != c.wanted || plan.Limited != c.limited || plan.Reason != c.reason {
			t.Errorf("%s: %d wanted, %d limited, %s; want %d, %d, %s", name, plan.Wanted, plan.Limited, plan.Reason, c.wanted, c.limited, c.reason)
		}
		if n := count(got.Steps); n[Ungate] != c.ungated || n[Delete] != c.deleted {
			t.Errorf("%s: %d ungated, %d deleted; want %d, %d", name, n[Ungate], n[Delete], c.ungated, c.deleted)
		}
		if c.refused && c.supply == Closed && got.Nodes > max(2-c.room, 0) {
			t.Errorf("%s: asks for %d nodes, want none beside those that wait already", name, got.Nodes)
		}
	}
}

// TestRenewalGoesOnWhileAutoscalersRefuse: the room is there.
func TestRenewalGoesOnWhileAutoscalersRefuse(t *testing.T) {
	standing := append(held(1), Placeholder{Name: "w", Stage: Pending}, Placeholder{Name: "g", Stage: Gated})
	standing[0].Expires = now.Add(time.Minute)
	got := Plan(Demand{Chunks: []ChunkDemand{rising(0, 9)}}, State{Chunks: []ChunkState{{Refused: true, Placeholders: standing}}}, limitsOf(single), now)
	if n := count(got.Steps); n[Delete] != 1 || n[Ungate] != 1 {
		t.Errorf("%+v, want the one that ends replaced, and nothing else", got.Steps)
	}
}
