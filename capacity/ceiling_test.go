package capacity

import (
	"testing"
	"time"
)

func TestCeilings(t *testing.T) {
	five := new(int64(5))
	for value, want := range map[string]struct {
		limit  int64 // below zero for none
		unread bool
	}{"": {-1, false}, "3": {3, false}, "0": {0, false}, "+3": {5, true}, "3.0": {5, true}, "2147483648": {5, true}} {
		c := Ceiling{Value: value}.Read(five)
		got := int64(-1)
		if c.Limit != nil {
			got = *c.Limit
		}
		if got != want.limit || c.Unread != want.unread {
			t.Errorf("%q: %d, unread %t; want %+v", value, got, c.Unread, want)
		}
	}
	all := []Ceiling{
		{On: "spec", Limit: new(int64(3)), Standing: 4},
		{On: "NodePool a100", Limit: new(int64(4)), Standing: 4},
		{On: "kube-system", Standing: 9},
		{On: "another", Limit: five, Standing: 1, Asked: 2},
	}
	if got, want := Exceeded(all), "4 nodes stand, at most 3 allowed by spec"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if left := NodesLeft(all); left == nil || *left != 0 {
		t.Errorf("%v left, want none", left)
	}
	if left := NodesLeft(all[2:]); left == nil || *left != 2 {
		t.Errorf("%v left, want 5 less one that stands and two that others wait for", left)
	}
	all[0].Mode, all[1].Mode = "warn", "audit"
	if left := NodesLeft(all[:2]); left != nil || all[0].Over() != 1 {
		t.Errorf("%v left, %d over, want any number, and to be told of one", left, all[0].Over())
	}
	all[0].Mode, all[1].Mode = "enforce", "wran"
	for past, want := range map[int64]struct{ left, over int64 }{2: {2, 0}, -1: {0, 1}} {
		all[0].Past, all[1].Past = &past, &past
		if left := NodesLeft(all[:2]); left == nil || *left != want.left || all[0].Over() != want.over {
			t.Errorf("%d past them: %v left, %d over, want %+v", past, left, all[0].Over(), want)
		}
	}
}

func TestOverride(t *testing.T) {
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]int64{ // below zero for none
		"20 until 2026-12-01T00:00:01Z: load test":  20,
		"20 until 2026-12-01T01:00:01+01:00: later": 20,
		"0 until 2999-01-01T00:00:00Z: a: b":        0,
		"20 until 2026-12-01T00:00:00Z: has ended":  -1,
		"20 until 2999-01-01T00:00:00Z: ":           -1,
		"20 until 2999-01-01T00:00:00Z":             -1,
		"20 until tomorrow: load test":              -1,
		"+20 until 2999-01-01T00:00:00Z: load test": -1,
		"20": -1, "": -1,
	} {
		got := int64(-1)
		if most := Override(value, now); most != nil {
			got = *most
		}
		if got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
}
