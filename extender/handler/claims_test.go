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
