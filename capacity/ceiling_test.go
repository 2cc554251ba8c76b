package capacity

import "testing"

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
}
