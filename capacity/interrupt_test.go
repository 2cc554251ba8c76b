package capacity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWhatANodeThatGoesHoldsIsAskedForElsewhere: two placeholders stand on it, or real pods do.
func TestWhatANodeThatGoesHoldsIsAskedForElsewhere(t *testing.T) {
	least := single
	least.Min = 2
	still := ChunkDemand{Now: 8, Policy: Policy{Kind: Reactive}}
	static := ChunkDemand{Now: 8, Policy: Policy{Kind: Static, Headroom: 2}}
	whole := single
	whole.PerNode = 8
	whole.WaitCostPerHour = 0
	for name, c := range map[string]struct {
		chunk  Chunk
		demand ChunkDemand
		state  ChunkState
		wanted int64
		reason Reason
		steps  map[Action]int
		first  Reason
	}{
		"placeholders":                  {least, still, ChunkState{Placeholders: append(inStage(Lost, 2), gated(2)...)}, 2, ReasonMin, map[Action]int{Delete: 2, Ungate: 2, Create: 1}, ReasonInterrupted},
		"placeholders nobody wants":     {single, still, ChunkState{Placeholders: append(inStage(Lost, 2), gated(1)...)}, 0, ReasonSteady, map[Action]int{Delete: 2}, ReasonInterrupted},
		"real pods":                     {single, still, ChunkState{Interrupted: 3, Placeholders: gated(4)}, 3, ReasonInterrupted, map[Action]int{Ungate: 3}, ReasonInterrupted},
		"real pods, half a chunk":       {single, still, ChunkState{Interrupted: 2.5, Placeholders: gated(4)}, 3, ReasonInterrupted, map[Action]int{Ungate: 3}, ReasonInterrupted},
		"there is free room":            {single, still, ChunkState{Interrupted: 3, Free: 2, Placeholders: gated(2)}, 1, ReasonInterrupted, map[Action]int{Ungate: 1}, ReasonInterrupted},
		"beside the headroom":           {single, static, ChunkState{Interrupted: 3, Placeholders: gated(6)}, 5, ReasonInterrupted, map[Action]int{Ungate: 5}, ReasonInterrupted},
		"beside the forecast":           {single, rising(8, 13), ChunkState{Interrupted: 3, Placeholders: gated(16)}, 15, ReasonInterrupted, map[Action]int{Ungate: 15}, ReasonInterrupted},
		"a whole node, where one is":    {whole, still, ChunkState{Interrupted: 3, Placeholders: gated(9)}, 8, ReasonInterrupted, map[Action]int{Ungate: 8}, ReasonInterrupted},
		"no more than the chunk's max":  {single, still, ChunkState{Interrupted: 30, Placeholders: gated(16)}, 16, ReasonMax, map[Action]int{Ungate: 16}, ReasonMax},
		"lost ones go before others do": {Chunk{Name: "single", Max: 2}, still, ChunkState{Placeholders: append(inStage(Lost, 1), append(held(3), gated(0)...)...)}, 0, ReasonSteady, map[Action]int{Delete: 2}, ReasonInterrupted},
	} {
		got := Plan(Demand{[]ChunkDemand{c.demand}}, State{Chunks: []ChunkState{c.state}}, limitsOf(c.chunk), now)
		if plan := got.Chunks[0]; plan.Wanted != c.wanted || plan.Reason != c.reason {
			t.Errorf("%s: wanted %d, %s; want %d, %s", name, plan.Wanted, plan.Reason, c.wanted, c.reason)
		}
		if diff := cmp.Diff(c.steps, count(got.Steps)); diff != "" {
			t.Errorf("%s: steps (-want +got):\n%s", name, diff)
		}
		if len(got.Steps) > 0 && got.Steps[0].Reason != c.first {
			t.Errorf("%s: first step %+v, want %s", name, got.Steps[0], c.first)
		}
	}
}
