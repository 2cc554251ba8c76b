package capacity

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/internal/quantity"
)

func TestTakeOverChoosesTheCheapest(t *testing.T) {
	gpus := func(n int64) quantity.Vector { return quantity.Vector{gpu: n} }
	chunk := func(name string, size int64, cost float64) HeldChunk { return HeldChunk{name, gpus(size), -10, cost} }
	singles := HeldNode{"singles", gpus(0), []HeldChunk{chunk("s1", 1, 3), chunk("s2", 1, 3), chunk("s3", 1, 3)}}
	whole := HeldNode{"whole", gpus(0), []HeldChunk{chunk("w", 8, 24)}}
	mixed := HeldNode{"mixed", gpus(1), []HeldChunk{chunk("cheap", 1, 1), chunk("dear", 1, 9)}}
	tiers := HeldNode{"tiers", gpus(0), []HeldChunk{{"late", gpus(1), -7, 1}, {"early", gpus(1), -9, 9}}}
	late := HeldNode{"late", gpus(0), []HeldChunk{{"late", gpus(8), -7, 1}}}
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
		"the first tier, though dearer":          {1, []HeldNode{tiers}, "tiers", []string{"early"}},
		"on another node too":                    {1, []HeldNode{late, tiers}, "tiers", []string{"early"}},
		"the last one that goes decides":         {2, []HeldNode{tiers, mixed, singles}, "mixed", []string{"cheap"}},
	} {
		node, pods := TakeOver(gpus(c.gpus), 0, c.nodes)
		if node != c.node || !cmp.Equal(pods, c.want) {
			t.Errorf("%s: %s %v, want %s %v", name, node, pods, c.node, c.want)
		}
	}
	for priority, want := range map[int32][]string{-10: nil, -9: nil, -8: {"early"}, -7: {"early"}} {
		if _, pods := TakeOver(gpus(1), priority, []HeldNode{late, tiers}); !cmp.Equal(pods, want) {
			t.Errorf("a pod of priority %d: %v, want %v", priority, pods, want)
		}
	}
	if _, pods := TakeOver(gpus(8), -7, []HeldNode{late}); pods != nil {
		t.Errorf("a pod of the same priority: %v, want none", pods)
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
