package handler

import (
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestAFailedDeletionBlocksNobody: a placeholder that we could not delete for a pod that waited is anybody's,
// and real work on other nodes is not spared for it; and we do not try again at once.
func TestAFailedDeletionBlocksNobody(t *testing.T) {
	x := overdue(t)
	x.SetPod(prioritized(pod("web", "elsewhere", "plain", "8"), -100))
	ask := func(other *corev1.Pod, offered Candidates) []string {
		defer x.DropPod(other) // and what it was given
		return slices.Sorted(maps.Keys(x.SelectVictims(other, offered)))
	}
	large := prioritized(pod("ml", "large", "", "2"), 1)
	hold := Candidates{"warm-1": {Pods: []types.UID{"hold-1"}}}
	work := Candidates{"warm-1": {Pods: []types.UID{"hold-1", "cheap-2"}}, "plain": {Pods: []types.UID{"elsewhere"}}}
	if _, placeholders, ok := x.Overdue(); !ok || placeholders[0].UID != "hold-1" {
		t.Fatalf("%v, want hold-1 on its way", placeholders)
	}
	if small, large := ask(taker("other"), hold), ask(large, work); len(small)+len(large) > 0 {
		t.Fatalf("%v and %v while it is being deleted, want none", small, large)
	}
	x.Unsent("hold-1")
	if got := ask(taker("other"), hold); !slices.Equal(got, []string{"warm-1"}) {
		t.Errorf("%v when it could not be, want its node", got)
	}
	if got := ask(large, work); !slices.Equal(got, []string{"plain", "warm-1"}) {
		t.Errorf("%v, want all that the scheduler offers", got)
	}
}

// TestWeRestWhenADeletionFailed: nothing is deleted for a while, nor for longer on the same node; nor is any
// room made ahead.
func TestWeRestWhenADeletionFailed(t *testing.T) {
	x := overdue(t)
	given := func() bool { _, placeholders, ok := x.Overdue(); return ok && placeholders[0].UID == "hold-1" }
	if !given() {
		t.Fatal("nothing is given")
	}
	x.Unsent("hold-1")
	if hold, expected := x.holds.Of("third"); expected || x.taken("hold-1") {
		t.Errorf("it is expected on %q still", hold.Node)
	}
	x.ServeAhead()
	for _, name := range []string{"like-1", "like-2"} {
		x.SetPod(taker(name))
	}
	victims(x, taker("like-1")) // takes hold-1, or real work
	if _, ok := x.Ahead(); ok || len(x.ahead.bursts) > 0 {
		t.Error("room is made ahead at once")
	}
	x.DropPod(taker("like-1"))
	for passed := time.Duration(0); passed < restThereFor-patience; passed += patience {
		later(x, patience)
		if x.resting() != (passed+patience < restFor) {
			t.Errorf("resting %v after %v", x.resting(), passed+patience)
		}
		if given() {
			t.Fatalf("given again after %v", passed+patience)
		}
	}
	if later(x, 2*patience); !given() {
		t.Error("not given again in the end")
	}
}

// TestWeRestEverywhere: what keeps us from deleting one may keep us from all; so others wait for restFor, and
// for no longer.
func TestWeRestEverywhere(t *testing.T) {
	x := overdue(t)
	if _, _, ok := x.Overdue(); !ok {
		t.Fatal("nothing is given")
	}
	x.SetPod(pod("web", "cheap-3", "warm-2", "3"))
	x.SetPod(placeholder("hold-3", "warm-2"))
	third := x.told["third"]
	third.nodes = append(third.nodes, "warm-2")
	x.told["third"] = third
	x.Unsent("hold-1")
	later(x, restFor-time.Second)
	if _, given, ok := x.Overdue(); ok {
		t.Errorf("%v are given on another node at once", given)
	}
	later(x, 2*time.Second)
	if _, given, ok := x.Overdue(); !ok || given[0].UID != "hold-3" {
		t.Errorf("%v are given, want hold-3", given)
	}
}

// TestNothingIsDeletedByWhatMayBeOld: nor is any room made ahead, until the API server is heard again.
func TestNothingIsDeletedByWhatMayBeOld(t *testing.T) {
	x, behind := overdue(t), true
	x.Doubt(func() bool { return behind })
	if _, given, ok := x.Overdue(); ok {
		t.Errorf("%v are given while we are behind", given)
	}
	x.ServeAhead()
	for _, name := range []string{"like-1", "like-2"} {
		x.SetPod(taker(name))
	}
	victims(x, taker("like-1"))
	if given, ok := x.Ahead(); ok {
		t.Errorf("%v are given ahead while we are behind", given)
	}
	x.DropPod(taker("like-1"))
	behind = false
	later(x, 2*holdFor) // what like-1 was given has run out
	if _, given, ok := x.Overdue(); !ok || given[0].UID != "hold-1" {
		t.Errorf("%v are given when the API server is heard again, want hold-1", given)
	}
}

// TestNobodyWaitsForever: whatever goes wrong with what comes, and however often it is begun anew, the scheduler
// gets candidates for a pod that has waited for waitAtMost.
func TestNobodyWaitsForever(t *testing.T) {
	again := func(x *Index) { // it is always about to go
		x.claims["hold-1"] = claim{by: "somebody", until: x.now().Add(holdFor), going: true}
		x.mark("hold-1")
	}
	for name, test := range map[string]struct {
		stuck   func(x *Index)
		victim  types.UID
		unknown bool // to our cache
		special bool // not by its requests alone
	}{
		"what goes never goes":               {stuck: again, victim: "hold-1"},
		"nor for a pod that has a host port": {stuck: again, victim: "hold-1", special: true},
		"nor for one that we do not see":     {stuck: again, victim: "hold-1", unknown: true},
		"real work would go elsewhere":       {stuck: again, victim: "cheap"},
		"what is given is never taken": {stuck: func(x *Index) {
			x.claims["hold-1"] = claim{by: "somebody", until: x.now().Add(holdFor)}
			x.mark("hold-1")
		}, victim: "cheap"},
		"what was promised never comes": {stuck: func(x *Index) {
			again(x)
			x.claims["hold-1"] = claim{by: "late", until: x.now().Add(holdFor), going: true}
			x.ahead.promises["late"] = &promise{pod: taker("late"), node: "warm-1", placeholders: []types.UID{"hold-1"}, sent: true, until: x.now().Add(holdFor)}
		}, victim: "hold-1"},
	} {
		t.Run(name, func(t *testing.T) {
			x := mixed()
			x.DropPod(placeholder("hold-2", "warm-1")) // nothing is left that could be given
			x.SetPod(pod("web", "cheap", "warm-1", "7"))
			late := taker("late")
			late.CreationTimestamp = metav1.NewTime(x.now())
			late.Spec.HostNetwork = test.special
			if !test.unknown {
				x.SetPod(late)
			}
			offered := Candidates{"warm-1": {Pods: []types.UID{test.victim}}}
			started := x.now()
			for {
				if test.stuck(x); !test.unknown {
					x.SetPod(late) // as its status changes
				}
				waited := x.now().Sub(started)
				got := len(x.SelectVictims(late, offered))
				if got > 0 && waited <= waitAtMost || got == 0 && waited > waitAtMost {
					t.Fatalf("%d nodes after %v", got, waited)
				}
				if got > 0 {
					break
				}
				later(x, time.Second)
			}
			if test.stuck(x); !test.unknown && len(x.SelectVictims(late, offered)) > 0 {
				t.Error("it does not wait any more, though it has just been answered")
			}
		})
	}
}
