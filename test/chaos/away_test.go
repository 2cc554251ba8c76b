package main

import (
	"testing"
	"time"

	"forewarm.dev/test/chaos/invariant"
	"forewarm.dev/test/chaos/schedule"
)

// unlucky is a checker that finds its violation at every look.
type unlucky struct{ invariant.Violation }

func (u unlucky) Name() string                               { return u.Invariant }
func (u unlucky) See(invariant.Change) []invariant.Violation { return nil }
func (u unlucky) Look(now time.Time) []invariant.Violation {
	u.At = now
	return []invariant.Violation{u.Violation}
}

func act(name, target string) schedule.Act {
	return schedule.Act{Fault: schedule.Fault{Name: name, Target: target}}
}

func within(s *spans, w string) func(invariant.Violation) bool {
	return func(v invariant.Violation) bool { return v.Invariant == w && s.held(v.At) }
}

// TestAway: what happens while the extender cannot know is counted, and no violation; before, after, and of
// other invariants it is one.
func TestAway(t *testing.T) {
	for _, test := range []struct {
		act    schedule.Act
		blinds bool
		lasts  time.Duration
	}{
		{act("kill", "extender"), true, 0},
		{act("freeze", "extender"), true, 0},
		{act("kill", "kube-scheduler"), true, 0},
		{act("cut", "network"), true, watches},
		{act("kill", "kube-apiserver"), false, 0},
		{act("kill", "webhook/all"), false, 0},
	} {
		if got := blinds(test.act); got != test.blinds {
			t.Errorf("%s blinds: %t", test.act, got)
		}
		if got := lasts(schedule.Step{Acts: []schedule.Act{act("kill", "etcd"), test.act}}); got != test.lasts {
			t.Errorf("%s lasts %s, want %s", test.act, got, test.lasts)
		}
	}
	began := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	after := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	var away spans
	j := &journal{checkers: []invariant.Checker{unlucky{invariant.Violation{Invariant: "work"}}}, excused: within(&away, "work")}
	j.look(after(0))
	away.begin(after(10))
	j.look(after(9))
	j.look(after(10))
	j.look(after(99)) // it has no end yet
	away.end(after(20))
	j.look(after(20))
	j.look(after(21))
	away.begin(after(30))
	away.end(after(40))
	j.look(after(15))
	j.look(after(25))
	j.look(after(35))
	if n := len(j.violations(0)); n != 4 || j.done().Unasked != 5 {
		t.Errorf("%d violations and %d excused, want 4 and 5", n, j.done().Unasked)
	}
	other := &journal{checkers: []invariant.Checker{unlucky{invariant.Violation{Invariant: "other"}}}, excused: within(&away, "work")}
	other.look(after(35))
	if n := len(other.violations(0)); n != 1 {
		t.Errorf("%d violations of another invariant, want 1", n)
	}
}
