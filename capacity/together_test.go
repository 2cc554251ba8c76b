package capacity

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"forewarm.dev/internal/quantity"
)

func TestTakeOverTogether(t *testing.T) {
	gpus := func(n int64) quantity.Vector { return quantity.Vector{gpu: n} }
	chunk := func(name string, size int64, priority int32, cost float64) HeldChunk {
		return HeldChunk{name, gpus(size), priority, cost}
	}
	// Two racks of two nodes: of the first three fours are held, of the second two, and one is free.
	nodes := []HeldNode{
		{"a1", gpus(0), []HeldChunk{chunk("a1-1", 4, -10, 3), chunk("a1-2", 4, -10, 3)}},
		{"a2", gpus(0), []HeldChunk{chunk("a2-1", 4, -10, 3)}},
		{"b1", gpus(4), []HeldChunk{chunk("b1-1", 4, -10, 3)}},
		{"b2", gpus(0), []HeldChunk{chunk("b2-1", 4, -8, 3)}},
	}
	racks := [][]string{{"a1", "a2"}, {"b1", "b2"}}
	all := [][]string{{"a1", "a2", "b1", "b2"}}
	four := func(count int64, choices ...[][]string) Group { return Group{gpus(4), count, 0, choices} }
	of := func(priority int32, g Group) Group { g.Priority = priority; return g }
	for name, c := range map[string]struct {
		groups []Group
		want   []string
	}{
		"one where it gives up nothing":         {[]Group{four(1, racks)}, nil},
		"two where one is free":                 {[]Group{four(2, racks)}, []string{"b1-1"}},
		"three: of the lowest priority":         {[]Group{four(3, racks)}, []string{"a1-1", "a1-2", "a2-1"}},
		"three who may not take the later tier": {[]Group{of(-9, four(3, racks[1:]))}, nil},
		"four fit no rack":                      {[]Group{four(4, racks)}, nil},
		"but anywhere, if that is a choice":     {[]Group{four(4, racks, all)}, []string{"a1-1", "a1-2", "a2-1"}},
		"all there is":                          {[]Group{four(6, all)}, []string{"a1-1", "a1-2", "a2-1", "b1-1", "b2-1"}},
		"more than there is":                    {[]Group{four(7, all)}, nil},
		"two groups, each in its rack":          {[]Group{four(2, racks), four(2, racks)}, []string{"a1-1", "a1-2", "b1-1"}},
		"one of two does not fit":               {[]Group{four(2, racks), four(4, racks)}, nil},
		"nowhere at all":                        {[]Group{four(1)}, nil},
		"too large for a node":                  {[]Group{{gpus(9), 1, 0, [][][]string{all}}}, nil},
		"an eight takes both of a node":         {[]Group{{gpus(8), 1, 0, [][][]string{racks[:1]}}}, []string{"a1-1", "a1-2"}},
	} {
		before := slices.Clone(nodes)
		got, _, _ := TakeOverTogether(c.groups, nodes)
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: gone (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(before, nodes); diff != "" {
			t.Errorf("%s: its argument changed:\n%s", name, diff)
		}
	}
	_, left, _ := TakeOverTogether([]Group{four(2, racks)}, nodes)
	if got, _, _ := TakeOverTogether([]Group{four(1, racks[1:])}, left); !slices.Equal(got, []string{"b2-1"}) {
		t.Errorf("the next one is given %v, want what is left", got)
	}
}
