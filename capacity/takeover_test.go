package capacity

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/internal/quantity"
)

func TestTakeOverChoosesTheCheapest(t *testing.T) {
	gpus := func(n int64) quantity.Vector { return quantity.Vector{gpu: n} }
	chunk := func(name string, size int64, cost float64) HeldChunk { return HeldChunk{name, gpus(size), cost} }
	singles := HeldNode{"singles", gpus(0), []HeldChunk{chunk("s1", 1, 3), chunk("s2", 1, 3), chunk("s3", 1, 3)}}
	whole := HeldNode{"whole", gpus(0), []HeldChunk{chunk("w", 8, 24)}}
	mixed := HeldNode{"mixed", gpus(1), []HeldChunk{chunk("cheap", 1, 1), chunk("dear", 1, 9)}}
	for name, c := range map[string]struct {
		gpus  int64
		nodes []HeldNode
		node  string
		want  []string
	}{
		"one of three":                           {1, []HeldNode{whole, singles}, "singles", []string{"s3"}},
		"a pair":                                 {2, []HeldNode{whole, singles}, "singles", []string{"s2", "s3"}},
		"only the whole node is large enough":    {4, []HeldNode{singles, whole}, "whole", []string{"w"}},
		"the room beside counts, the dear stays": {2, []HeldNode{mixed, singles}, "mixed", []string{"cheap"}},
		"it fits as it is":                       {1, []HeldNode{singles, mixed}, "", nil},
		"too large for all":                      {9, []HeldNode{singles, whole}, "", nil},
		"equal: by name":                         {1, []HeldNode{{"b", gpus(0), singles.Held}, {"a", gpus(0), singles.Held}}, "a", []string{"s3"}},
		"none held":                              {1, nil, "", nil},
	} {
		node, pods := TakeOver(gpus(c.gpus), c.nodes)
		if node != c.node || !cmp.Equal(pods, c.want) {
			t.Errorf("%s: %s %v, want %s %v", name, node, pods, c.node, c.want)
		}
	}
}

// TestPausedUngatesNothing: creating and deleting go on.
func TestPausedUngatesNothing(t *testing.T) {
	limits := limitsOf(single)
	limits.Paused = ReasonTakenOver
	state := State{Chunks: []ChunkState{{Placeholders: append(gated(1), Placeholder{Name: "f", Stage: Finished})}}}
	want := map[Action]int{Create: 12, Delete: 1}
	if diff := cmp.Diff(want, count(Plan(Demand{[]ChunkDemand{rising(20, 13)}}, state, limits, now).Steps)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}
