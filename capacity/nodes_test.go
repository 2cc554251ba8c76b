package capacity

import (
	"testing"

	"forewarm.dev/internal/quantity"
)

// TestMaxNodes: no more placeholders are ungated than nodes may be asked for, beyond the room that
// is there already.
func TestMaxNodes(t *testing.T) {
	pending := func(n int) []Placeholder {
		out := held(n)
		for i := range out {
			out[i].Stage = Pending
		}
		return out
	}
	for name, c := range map[string]struct {
		left         *int64
		room         int64
		placeholders []Placeholder
		want         int64
		limited      int64
		reason       Reason
		nodes        int64
	}{
		"no ceiling":                       {nil, 0, nil, 9, 0, ReasonForecast, 9},
		"a node for each":                  {new(int64(9)), 0, nil, 9, 0, ReasonForecast, 9},
		"fewer nodes":                      {new(int64(3)), 0, nil, 3, 6, ReasonMaxNodes, 3},
		"room beside them":                 {new(int64(3)), 4, nil, 7, 2, ReasonMaxNodes, 3},
		"nodes asked for already":          {new(int64(3)), 0, pending(2), 3, 6, ReasonMaxNodes, 3},
		"pending ones that have room":      {new(int64(3)), 2, pending(2), 5, 4, ReasonMaxNodes, 3},
		"none left, what is held stays":    {new(int64(0)), 0, held(2), 2, 7, ReasonMaxNodes, 0},
		"none left, pending ones stay too": {new(int64(0)), 0, pending(2), 2, 7, ReasonMaxNodes, 2},
	} {
		limits := limitsOf(single)
		limits.NodesLeft = c.left
		got := Plan(Demand{Chunks: []ChunkDemand{rising(0, 9)}}, State{Chunks: []ChunkState{{Room: c.room, Placeholders: c.placeholders}}}, limits, now)
		if got.Nodes != c.nodes {
			t.Errorf("%s: asks for %d nodes, want %d", name, got.Nodes, c.nodes)
		}
		if plan := got.Chunks[0]; plan.Wanted != c.want || plan.Limited != c.limited || plan.Reason != c.reason {
			t.Errorf("%s: %d wanted, %d limited, %s; want %d, %d, %s", name, plan.Wanted, plan.Limited, plan.Reason, c.want, c.limited, c.reason)
		}
		ungated := 0
		for _, step := range got.Steps {
			switch step.Action {
			case Ungate:
				ungated++
			case Delete:
				t.Errorf("%s: %+v, want nothing given up", name, step)
			case Create:
			}
		}
		if want := c.want - int64(len(c.placeholders)); int64(ungated) != want {
			t.Errorf("%s: %d ungated, want %d", name, ungated, want)
		}
	}
}

// TestMaxNodesIsShared: chunks do not spend a node twice.
func TestMaxNodesIsShared(t *testing.T) {
	other := Chunk{Name: "pair", Requests: quantity.Vector{gpu: 2}, WaitCostPerHour: 60, IdleCostPerHour: 3, Max: 16}
	limits := limitsOf(single, other)
	limits.NodesLeft = new(int64(5))
	got := Plan(Demand{Chunks: []ChunkDemand{rising(0, 3), rising(0, 9)}}, State{Chunks: make([]ChunkState, 2)}, limits, now)
	if first, second := got.Chunks[0].Wanted, got.Chunks[1].Wanted; first != 3 || second != 2 {
		t.Errorf("wanted %d and %d, want 3 and the 2 nodes that are left", first, second)
	}
}
