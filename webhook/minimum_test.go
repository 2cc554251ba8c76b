package webhook

import (
	"strings"
	"testing"

	"forewarm.dev/internal/quantity"
)

func TestLeastNodes(t *testing.T) {
	const gpu = "nvidia.com/gpu"
	gpus := func(n int64) quantity.Vector { return quantity.Vector{gpu: n} }
	eight, four := gpus(8), gpus(4)
	single, node := func(n int64) Kept { return Kept{gpus(1), n} }, func(n int64) Kept { return Kept{gpus(8), n} }
	for name, c := range map[string]struct {
		kept  []Kept
		nodes []quantity.Vector
		want  int64
	}{
		"nothing kept":              {[]Kept{single(0)}, []quantity.Vector{eight}, 0},
		"no node known":             {[]Kept{single(100)}, nil, 1},
		"on one node":               {[]Kept{single(8)}, []quantity.Vector{eight}, 1},
		"on two":                    {[]Kept{single(9)}, []quantity.Vector{eight}, 2},
		"by the larger nodes":       {[]Kept{single(16)}, []quantity.Vector{four, eight}, 2},
		"a sum of shapes":           {[]Kept{node(2), single(4)}, []quantity.Vector{eight}, 3},
		"shapes that fill no node":  {[]Kept{{gpus(5), 3}}, []quantity.Vector{eight}, 3},
		"by the scarcer resource":   {[]Kept{{quantity.Vector{gpu: 1, "cpu": 4000}, 8}}, []quantity.Vector{{gpu: 8, "cpu": 8000}}, 4},
		"what fits on none":         {[]Kept{{gpus(16), 2}}, []quantity.Vector{eight}, 4},
		"a resource that none has":  {[]Kept{{quantity.Vector{"amd.com/gpu": 1}, 2}}, []quantity.Vector{eight}, 1},
		"as much as a number holds": {[]Kept{{gpus(1 << 62), 1000}}, []quantity.Vector{gpus(1)}, 1<<31 - 1},
	} {
		if got := LeastNodes(c.kept, c.nodes); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestUnjudged: where no node is known, a minimum that needs too many of small ones is warned of.
func TestUnjudged(t *testing.T) {
	r := Request{Object: Object{Kind: "WarmPool", Name: "a100"}, Own: Setting{On: Object{Kind: "WarmPool", Name: "a100"}, Annotation: MaxNodes, Set: true, Value: "3"}}
	one := Kept{quantity.Vector{"nvidia.com/gpu": 8}, 4}
	got := Unjudged(r, []Kept{one})
	for _, part := range []string{"WarmPool a100: spec.chunks[].min needs 4 nodes", `at most 3 are allowed by annotation forewarm.dev/max-nodes="3" on WarmPool a100`} {
		if !strings.Contains(got, part) {
			t.Errorf("%q lacks %q", got, part)
		}
	}
	one.Min = 3
	if got := Unjudged(r, []Kept{one}); got != "" {
		t.Errorf("within: %q", got)
	}
}
