package karpenter

import (
	"testing"

	"forewarm.dev/capacity"
)

func TestCeilingOfSeveral(t *testing.T) {
	of := func(name, maxNodes, mode string) NodePool {
		return NodePool{Labels: map[string]string{NodePoolLabel: name}, MaxNodes: maxNodes, CeilingMode: mode}
	}
	standing := func(name string) int64 { return map[string]int64{"a": 3, "b": 1, "over": 9}[name] }
	last := int64(12)
	for name, c := range map[string]struct {
		pools []NodePool
		want  int64 // left, below zero for any number
	}{
		"none":                        {nil, -1},
		"one":                         {[]NodePool{of("a", "4", "")}, 1},
		"one that only warns":         {[]NodePool{of("a", "4", "warn")}, -1},
		"two":                         {[]NodePool{of("a", "4", ""), of("b", "4", "enforce")}, 4},
		"one of two has none":         {[]NodePool{of("a", "4", ""), of("b", "", "")}, -1},
		"one of two only tells":       {[]NodePool{of("a", "4", ""), of("b", "4", "audit")}, -1},
		"what is over counts once":    {[]NodePool{of("over", "2", ""), of("b", "4", "")}, 3},
		"one of two cannot be read":   {[]NodePool{of("a", "four", ""), of("b", "9", "")}, 8},
		"too many to be one number":   {[]NodePool{of("a", "2147483647", ""), of("b", "1", "")}, -1},
		"one that cannot be read":     {[]NodePool{of("a", "four", "")}, 9},
		"neither of two has any left": {[]NodePool{of("over", "2", ""), of("a", "3", "")}, 0},
	} {
		got := int64(-1)
		if left := capacity.NodesLeft([]capacity.Ceiling{Ceiling(c.pools, standing).Read(&last)}); left != nil {
			got = *left
		}
		if got != c.want {
			t.Errorf("%s: %d left, want %d", name, got, c.want)
		}
	}
}
