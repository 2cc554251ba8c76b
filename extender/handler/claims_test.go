package handler

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
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

// TestOverdue: a pod that was told to wait for what is not deleted, since nobody heard of it, gets it
// in the end, and nobody gets anything before that or twice.
func TestOverdue(t *testing.T) {
	x := mixed()
	for _, name := range []string{"first", "second"} {
		victims(x, taker(name))
	}
	x.SetPod(nominatedPod("first", "warm-1")) // for the sake of somebody else than hold-1
	x.DropPod(pod("web", "cheap", "warm-1", "6"))
	x.SetPod(pod("web", "cheap-2", "warm-1", "5"))
	if got := victims(x, taker("third")); got != nil {
		t.Fatalf("victims %v, want none: room is coming", got)
	}
	if _, _, ok := x.Overdue(); ok {
		t.Error("somebody is overdue at once")
	}
	x.SetPod(pod("ml", "first", "warm-1", "1"))
	later(x, patience+time.Millisecond)
	pod, placeholders, ok := x.Overdue()
	if !ok || pod.Name != "third" || len(placeholders) != 1 || placeholders[0].Name != "hold-1" {
		t.Errorf("%v: %v for %s, want hold-1 for third", ok, placeholders, pod)
	}
	if hold, _ := x.holds.Of("third"); hold.Node != "warm-1" || !x.taken("hold-1") {
		t.Errorf("third is expected on %q", hold.Node)
	}
	if _, _, again := x.Overdue(); again || len(x.told) != 0 {
		t.Error("it is overdue still")
	}
}
