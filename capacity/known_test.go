package capacity

import (
	"slices"
	"testing"
)

// TestKnown: chunks of 8 and 1 GPUs, of which 4 and 16 may be kept, 48 GPUs in all.
func TestKnown(t *testing.T) {
	chunks, sizes := []Chunk{node, single}, []int64{8, 1}
	leaves := func(gpus float64) Allowance {
		return func(namespace string) *float64 {
			if namespace == "bounded" {
				return &gpus
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		coming []Coming
		share  float64
		left   float64
		want   []float64
	}{
		"nothing":                      {nil, 1, 0, []float64{0, 0}},
		"all of it":                    {[]Coming{{"a", 1, 3}, {"a", 0, 2}}, 1, 0, []float64{2, 3}},
		"its share":                    {[]Coming{{"a", 1, 20}}, 0.25, 0, []float64{0, 12}},
		"the first ones first":         {[]Coming{{"a", 0, 1}, {"a", 1, 20}}, 0.25, 0, []float64{1, 4}},
		"a share each":                 {[]Coming{{"a", 1, 20}, {"b", 1, 20}}, 0.25, 0, []float64{0, 24}},
		"what its quota leaves":        {[]Coming{{"bounded", 1, 20}, {"b", 1, 2}}, 1, 5, []float64{0, 7}},
		"a quota that is passed":       {[]Coming{{"bounded", 1, 20}}, 1, -5, []float64{0, 0}},
		"no part of a chunk":           {[]Coming{{"bounded", 0, 3}}, 1, 12, []float64{1, 0}},
		"a pod smaller than a chunk":   {[]Coming{{"bounded", 0, 0.5}}, 1, 12, []float64{0.5, 0}},
		"no share":                     {[]Coming{{"a", 1, 20}}, 0, 0, []float64{0, 0}},
		"less than nothing is nothing": {[]Coming{{"bounded", 1, 1}, {"bounded", 1, 1}}, 1, 1, []float64{0, 1}},
	} {
		if got := Known(c.coming, chunks, sizes, c.share, leaves(c.left)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestKnownDemandIsCertain(t *testing.T) {
	for name, c := range map[string]struct {
		demand ChunkDemand
		free   int64
		want   int64
		reason Reason
	}{
		"reactive":              {ChunkDemand{Known: 2.5, Policy: Policy{Kind: Reactive}}, 0, 3, ReasonKnown},
		"less than the policy":  {ChunkDemand{Known: 2, Policy: Policy{Kind: Static, Headroom: 4}}, 0, 4, ReasonStatic},
		"less what is free":     {ChunkDemand{Known: 3, Policy: Policy{Kind: Reactive}}, 2, 1, ReasonKnown},
		"beside the forecast":   {func() ChunkDemand { d := rising(4, 3); d.Known = 9; return d }(), 0, 9, ReasonKnown},
		"no more than its max":  {ChunkDemand{Known: 99}, 0, single.Max, ReasonMax},
		"nobody runs, but will": {ChunkDemand{Known: 1, Horizon: rising(0, 1).Horizon, Paths: [][]float64{{0, 0}}}, 0, 1, ReasonKnown},
	} {
		got := Plan(Demand{[]ChunkDemand{c.demand}}, State{Chunks: []ChunkState{{Free: c.free}}}, limitsOf(single), now).Chunks[0]
		if got.Wanted != c.want || got.Reason != c.reason {
			t.Errorf("%s: %d, %s; want %d, %s", name, got.Wanted, got.Reason, c.want, c.reason)
		}
	}
}
