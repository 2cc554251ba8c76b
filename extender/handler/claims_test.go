package handler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// mixed is a node full of cheap work and of two placeholders.
func mixed() *Index {
	x := cluster()
	x.SetPod(pod("web", "cheap", "warm-1", "6"))
	for _, name := range []string{"hold-1", "hold-2"} {
		x.SetPod(placeholder(name, "warm-1"))
	}
	return x
}

func taker(name string) *corev1.Pod {
	p, priority := pod("ml", name, "", "1"), int32(1)
	p.Spec.Priority = &priority
	return p
}

// victims are whom a pod may take on the node where the scheduler would take the work.
func victims(x *Index, p *corev1.Pod) (uids []types.UID) {
	for _, v := range x.SelectVictims(p, Candidates{"warm-1": {Pods: []types.UID{"cheap"}}})["warm-1"].Pods {
		uids = append(uids, v.UID)
	}
	return uids
}

// TestAPlaceholderIsGivenOnce: the scheduler asks about the next pods before it has deleted what
// it took for the first.
func TestAPlaceholderIsGivenOnce(t *testing.T) {
	for name, test := range map[string]struct {
		then func(x *Index)
		want []types.UID
	}{
		"a third finds none":                {func(*Index) {}, []types.UID{"cheap"}},
		"nor after its pod changed":         {func(x *Index) { x.SetPod(placeholder("hold-1", "warm-1")) }, []types.UID{"cheap"}},
		"the first is gone":                 {func(x *Index) { x.DropPod(taker("first")) }, []types.UID{"hold-1"}},
		"the first is elsewhere":            {func(x *Index) { x.SetPod(pod("ml", "first", "warm-2", "1")) }, []types.UID{"hold-1"}},
		"the first has ended":               {func(x *Index) { p := taker("first"); p.Status.Phase = corev1.PodFailed; x.SetPod(p) }, []types.UID{"hold-1"}},
		"the first was sent elsewhere":      {func(x *Index) { x.SetPod(nominatedPod("first", "warm-2")) }, []types.UID{"hold-1"}},
		"the first was sent where it was":   {func(x *Index) { x.SetPod(nominatedPod("first", "warm-1")) }, []types.UID{"cheap"}},
		"the first found no room after all": {func(x *Index) { x.SetPod(unschedulablePod("first")) }, []types.UID{"hold-1"}},
		"nothing was deleted for long":      {func(x *Index) { later(x, holdFor+time.Second) }, []types.UID{"hold-1"}},
		"another scheduler leads":           {func(x *Index) { x.Reconcile() }, []types.UID{"hold-1"}},
		"it is deleted, the first not seen": {func(x *Index) { x.DropPod(placeholder("hold-1", "warm-1")) }, []types.UID{"cheap"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := mixed()
			if first, second := victims(x, taker("first")), victims(x, taker("second")); !slices.Equal(first, []types.UID{"hold-1"}) || !slices.Equal(second, []types.UID{"hold-2"}) {
				t.Fatalf("victims %v and %v, want one placeholder each", first, second)
			}
			test.then(x)
			if got := victims(x, taker("third")); !slices.Equal(got, test.want) {
				t.Errorf("victims %v, want %v", got, test.want)
			}
		})
	}
}

// TestWhoHasBeenGivenRoomWaits: a pod that is tried again before its placeholder is gone, or
// before the scheduler knows that it is, takes nothing more.
func TestWhoHasBeenGivenRoomWaits(t *testing.T) {
	x := mixed()
	victims(x, taker("first"))
	victims(x, taker("second"))
	x.DropPod(placeholder("hold-1", "warm-1"))
	if got := victims(x, taker("first")); got != nil {
		t.Errorf("while the other placeholder stands: victims %v, want none", got)
	}
	x.DropPod(placeholder("hold-2", "warm-1"))
	if got := victims(x, taker("second")); got != nil {
		t.Errorf("once both are gone: victims %v, want none", got)
	}
	later(x, settleFor+time.Millisecond)
	if got := victims(x, taker("second")); !slices.Equal(got, []types.UID{"cheap"}) {
		t.Errorf("when the scheduler must have seen it: victims %v, want its own", got)
	}
	if len(x.claims) != 0 {
		t.Errorf("claims %v are left", x.claims)
	}
}

// TestNewsOlderThanAnAnswerIsIgnored: what a pod says of an attempt before the last comes after our
// answer, since our cache is behind.
func TestNewsOlderThanAnAnswerIsIgnored(t *testing.T) {
	version := func(p *corev1.Pod, version string) *corev1.Pod { p.ResourceVersion = version; return p }
	for name, test := range map[string]struct {
		news *corev1.Pod
		want string
	}{
		"no room":     {version(unschedulablePod("first"), "99"), "warm-1"},
		"another":     {version(nominatedPod("first", "warm-2"), "100"), "warm-1"},
		"no room now": {version(unschedulablePod("first"), "101"), ""},
		"another now": {version(nominatedPod("first", "warm-2"), "101"), "warm-2"},
	} {
		x := mixed()
		victims(x, version(taker("first"), "100"))
		x.SetPod(test.news)
		if hold, _ := x.holds.Of("first"); hold.Node != test.want || x.taken("hold-1") != (test.want == "warm-1") {
			t.Errorf("%s: expected on %q, its placeholder taken: %v", name, hold.Node, x.taken("hold-1"))
		}
	}
}

// overdue is a node with a placeholder that was given to a pod which is elsewhere by now, and a third
// pod that was told to wait for it and has been looked at for as long as it is to be patient.
func overdue(t *testing.T) *Index {
	t.Helper()
	x := mixed()
	for _, name := range []string{"first", "second"} {
		victims(x, taker(name))
	}
	x.SetPod(nominatedPod("first", "warm-1")) // for the sake of somebody else than hold-1
	x.DropPod(pod("web", "cheap", "warm-1", "6"))
	x.SetPod(pod("web", "cheap-2", "warm-1", "5"))
	x.SetPod(taker("third"))
	if got := victims(x, taker("third")); got != nil {
		t.Fatalf("victims %v, want none: room is coming", got)
	}
	if _, _, ok := x.Overdue(); ok {
		t.Error("somebody is overdue at once")
	}
	x.SetPod(pod("ml", "first", "warm-1", "1"))
	later(x, patience+time.Millisecond)
	return x
}

// TestOverdue: a pod that was told to wait for what is not deleted, since nobody heard of it, gets it
// in the end, and nobody gets anything before that or twice.
func TestOverdue(t *testing.T) {
	x := overdue(t)
	third := func() {
		t.Helper()
		pod, placeholders, ok := x.Overdue()
		if !ok || pod.Name != "third" || len(placeholders) != 1 || placeholders[0].Name != "hold-1" {
			t.Errorf("%v: %v for %s, want hold-1 for third", ok, placeholders, pod)
		}
		if hold, _ := x.holds.Of("third"); hold.Node != "warm-1" || !x.taken("hold-1") {
			t.Errorf("third is expected on %q", hold.Node)
		}
	}
	third()
	later(x, patience+time.Millisecond)
	if _, _, again := x.Overdue(); again {
		t.Error("it is given more while it is expected")
	}
	later(x, holdFor) // it could not be deleted
	third()
	x.SetPod(pod("ml", "third", "warm-1", "1"))
	if len(x.told) != 0 {
		t.Error("it is bound, and waits still")
	}
}

// TestNobodyElseIsOverdue: no placeholder goes for a pod that does not wait, that has been seen to by
// another replica or the scheduler, or that could not have it.
func TestNobodyElseIsOverdue(t *testing.T) {
	for name, test := range map[string]struct {
		then  func(x *Index)
		later bool // given it two seconds later
	}{
		"gone when we were asked": {func(x *Index) { was := x.told["third"]; x.DropPod(taker("third")); x.told["third"] = was }, false},
		"bound when we were asked": {func(x *Index) {
			was := x.told["third"]
			x.SetPod(pod("ml", "third", "warm-2", "1"))
			x.told["third"] = was
		}, false},
		"being deleted":          {func(x *Index) { p := taker("third"); p.DeletionTimestamp = &metav1.Time{}; x.SetPod(p) }, false},
		"the scheduler has room": {func(x *Index) { x.Filter(taker("third"), []string{"warm-2", "plain"}) }, false},
		"sent somewhere":         {func(x *Index) { x.SetPod(nominatedPod("third", "warm-2")) }, false},
		"its node is cordoned":   {func(x *Index) { n := node("warm-1", "a100"); n.Spec.Unschedulable = true; x.SetNode(n) }, false},
		"somebody has just gone": {func(x *Index) {
			x.SetPod(pod("web", "cheap-3", "warm-2", "3"))
			x.SetPod(placeholder("hold-3", "warm-2"))
			third := x.told["third"]
			third.nodes = append(third.nodes, "warm-2")
			x.told["third"] = third
			x.DropPod(pod("web", "cheap-2", "warm-1", "5"))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			x := overdue(t)
			test.then(x)
			later(x, patience+time.Millisecond)
			if pod, placeholders, ok := x.Overdue(); ok {
				t.Errorf("%v for %s", placeholders, pod)
			}
			later(x, patience+time.Millisecond)
			if pod, placeholders, ok := x.Overdue(); ok != test.later {
				t.Errorf("later %v for %s", placeholders, pod)
			}
		})
	}
}

// TestOnlyWhereSomethingCanBeGivenIsRemembered: a request may name each node of a cluster.
func TestOnlyWhereSomethingCanBeGivenIsRemembered(t *testing.T) {
	x := cluster()
	all := Candidates{"warm-1": {Pods: []types.UID{"hold-1"}}}
	for i := range 100 {
		name := fmt.Sprint("node-", i)
		x.SetNode(node(name, ""))
		all[name] = CandidateVictims{Pods: []types.UID{"hold-1"}}
	}
	outsider := prioritized(pod("web", "outsider", "", "1"), 1)
	if answer := x.SelectVictims(outsider, all); len(answer) > 0 {
		t.Fatalf("%v, want none: the placeholder is kept for others", answer)
	}
	if got := x.told["outsider"].nodes; !slices.Equal(got, []string{"warm-1"}) {
		t.Errorf("%d nodes are remembered, want the one with a placeholder", len(got))
	}
	rooted := prioritized(pod("web", "rooted", "", "1"), 1)
	rooted.Spec.HostNetwork = true // nobody but the scheduler can tell where it fits
	if x.SelectVictims(rooted, all); len(x.told) != 1 {
		t.Error("a pod is remembered to which nothing can be given")
	}
}
