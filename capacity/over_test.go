package capacity

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWhenTheWorkHasEndedAllGoesAtOnce: nine placeholders that the hold time would keep.
func TestWhenTheWorkHasEndedAllGoesAtOnce(t *testing.T) {
	none := ChunkDemand{Horizon: []time.Duration{5 * time.Minute, 30 * time.Minute}, Paths: [][]float64{{0, 5}, {0, 0}}}
	with := func(edit func(*ChunkDemand)) ChunkDemand {
		d := none
		d.Paths = [][]float64{{0, 5}, {0, 0}}
		edit(&d)
		return d
	}
	static := Policy{Kind: Static, Headroom: 4}
	for name, c := range map[string]struct {
		demand ChunkDemand
		state  ChunkState
		young  bool
		billed time.Duration
		want   int // deletes
	}{
		"ended":                        {none, ChunkState{}, false, 0, 9},
		"a rounding error runs":        {with(func(d *ChunkDemand) { d.Now = 1e-12 }), ChunkState{}, false, 0, 9},
		"somebody runs":                {with(func(d *ChunkDemand) { d.Now = 0.5 }), ChunkState{}, false, 0, 0},
		"somebody waits":               {none, ChunkState{Waiting: 1}, false, 0, 0},
		"somebody may come in time":    {with(func(d *ChunkDemand) { d.Paths[1][0] = 1 }), ChunkState{}, false, 0, 0},
		"nobody knows":                 {with(func(d *ChunkDemand) { d.Paths = nil }), ChunkState{}, false, 0, 0},
		"the loop has just begun":      {none, ChunkState{}, true, 0, 0},
		"the nodes are paid anyway":    {none, ChunkState{}, false, time.Hour, 0},
		"headroom is wanted all along": {with(func(d *ChunkDemand) { d.Policy = static }), ChunkState{}, false, 0, 5},
	} {
		c.state.Kept, c.state.Placeholders = 9, append(held(9), gated(1)...)
		limits := limitsOf(single)
		limits.MinBilling = c.billed
		got := Plan(Demand{[]ChunkDemand{c.demand}}, State{Young: c.young, Chunks: []ChunkState{c.state}}, limits, now)
		if n := count(got.Steps)[Delete]; n != c.want {
			t.Errorf("%s: %d deleted, want %d", name, n, c.want)
		}
		for _, step := range got.Steps {
			if step.Action == Delete && step.Reason != ReasonOver {
				t.Errorf("%s: %s, want %s", name, step.Reason, ReasonOver)
			}
		}
	}
	// One chunk's end is not the pool's.
	state := State{Chunks: []ChunkState{{Kept: 9, Placeholders: append(held(9), gated(1)...)}, {Placeholders: gated(1)}}}
	got := Plan(Demand{[]ChunkDemand{none, with(func(d *ChunkDemand) { d.Now = 1 })}}, state, limitsOf(single, node), now)
	if diff := cmp.Diff(map[Action]int{}, count(got.Steps)); diff != "" {
		t.Errorf("another chunk's pods run (-want +got):\n%s", diff)
	}
}
