package topology

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/clock"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
)

// TestABacklogStarvesNobody: Workloads of no pool cost no turn, whatever their priority; and of 150 that come due again
// after ten seconds, ten a second, each is looked at.
func TestABacklogStarvesNobody(t *testing.T) {
	start := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	mapper := newMapper()
	w := NewWatcher(Options{Client: newKueue(t, mapper), Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
	urgent := []string{"active: true", "active: true\n  priority: 7\n  priorityClassSource: scheduling.k8s.io/priorityclass"}
	for i := range 150 {
		w.seen(waiting(t, fmt.Sprintf("other-%03d", i), "Pending", nothingFits, append(urgent, "nvidia.com/gpu", "cpu")...))
		w.seen(waiting(t, fmt.Sprintf("train-%03d", i), "Pending", nothingFits, "count: 2", "count: 9"))
	}
	s, p := cluster(t)
	looked := map[string]int{}
	for second := range 30 {
		now := start.Add(time.Duration(second) * time.Second)
		turn := w.InTurn(p.Of, now)
		if len(turn) != 10 {
			t.Fatalf("second %d: %d in turn, want 10", second, len(turn))
		}
		if second == 0 && turn[0].Name != "train-000" {
			t.Errorf("first is %s, want the first by name", turn[0].Name)
		}
		for _, load := range turn {
			looked[load.Name]++
		}
		if err := w.MakeRoom(t.Context(), s, p, turn, now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 150 {
		if name := fmt.Sprintf("train-%03d", i); looked[name] != 2 {
			t.Errorf("%s was looked at %d times in 30 s, want twice", name, looked[name])
		}
	}
}

// TestOthersAloneAreNoWork: where only Workloads of no pool that acts wait, nobody is in turn, and nothing is due for a while.
func TestOthersAloneAreNoWork(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	w := NewWatcher(Options{})
	w.seen(waiting(t, "train", "Pending", nothingFits))
	_, p := cluster(t)
	p.pool.Spec.Mode = v1alpha1.ModeObserve
	if turn := w.InTurn(p.Of, now); len(turn) != 0 {
		t.Errorf("in turn: %v", turn)
	}
	if w.Due(now.Add(9*time.Second)) || !w.Due(now.Add(10*time.Second)) {
		t.Error("want it due again after ten seconds")
	}
}

// refilled are pools whose placeholders come back within a second wherever there is room, as min has it, unless the pool
// is held still.
type refilled struct {
	*pools
	full []capacity.HeldNode
	log  []string
	at   time.Duration
}

func (r *refilled) GiveWay(_ context.Context, _ *v1alpha1.WarmPool, to *metav1.PartialObjectMetadata, victims []string) bool {
	r.log = append(r.log, fmt.Sprint(r.at, " ", to.Name))
	for i, n := range r.held {
		if len(n.Held) > 0 && slices.Contains(victims, n.Held[0].Pod) {
			r.held[i].Room, r.held[i].Held = quantity.Vector{gpu: 4, "pods": 100}, nil
		}
	}
	return true
}

// TestKueueThatIsSlowToLook: room stays for two minutes at most, and what a pool with min takes back then is not
// taken from it over and over for the same Workload: again after ten minutes, or once that has changed.
func TestKueueThatIsSlowToLook(t *testing.T) {
	start := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	mapper := newMapper()
	w := NewWatcher(Options{Client: newKueue(t, mapper), Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
	w.seen(waiting(t, "train", "Pending", nothingFits))
	s, p := cluster(t)
	r := &refilled{pools: p, full: slices.Clone(p.held)}
	var held time.Duration
	tick := func(at time.Duration) {
		t.Helper()
		r.at = at
		now := start.Add(at)
		if err := makeRoom(t, w, s, r, now); err != nil {
			t.Fatal(err)
		}
		if w.Holds("a100", now) {
			held += time.Second
		} else {
			copy(r.held, r.full)
		}
	}
	for at := time.Duration(0); at < 15*time.Minute; at += time.Second {
		if at == 13*time.Minute { // it has changed: once more
			item := waiting(t, "train", "Pending", someFit)
			item.SetGeneration(2)
			w.seen(item)
		}
		tick(at)
	}
	if diff := cmp.Diff([]string{"0s train", "10m0s train", "13m0s train"}, r.log); diff != "" {
		t.Errorf("gave way (-want +got):\n%s", diff)
	}
	if held != 6*time.Minute {
		t.Errorf("held still for %s, want two minutes each time", held)
	}
}

// TestRoomIsKeptWhileItWaits: for a Workload that is let in late, the pool is held still ten seconds on.
func TestRoomIsKeptWhileItWaits(t *testing.T) {
	start := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	mapper := newMapper()
	w := NewWatcher(Options{Client: newKueue(t, mapper), Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
	w.seen(waiting(t, "train", "Pending", nothingFits))
	s, p := cluster(t)
	if err := makeRoom(t, w, s, p, start); err != nil {
		t.Fatal(err)
	}
	if !w.Holds("a100", start.Add(90*time.Second)) {
		t.Error("not held still while it waits")
	}
	w.gone(waiting(t, "train", "Pending", nothingFits))
	w.Due(start.Add(90 * time.Second))
	if !w.Holds("a100", start.Add(99*time.Second)) || w.Holds("a100", start.Add(100*time.Second)) {
		t.Error("want it held still for ten seconds after")
	}
}

// paged is a Kueue that lists Workloads in two pages.
type paged struct {
	dynamic.NamespaceableResourceInterface
	t     *testing.T
	asked *[]metav1.ListOptions
}

func (p paged) List(_ context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	*p.asked = append(*p.asked, o)
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadList"}}
	list.SetResourceVersion("7")
	if len(*p.asked) == 1 {
		list.SetContinue("more")
		list.Items = append(list.Items, *waiting(p.t, "quota", "Pending", noQuota))
	} else {
		list.Items = append(list.Items, *waiting(p.t, "room", "Pending", nothingFits))
	}
	return list, nil
}

// TestWorkloadsAreReadInPages: and what is not read of them is left out page by page.
func TestWorkloadsAreReadInPages(t *testing.T) {
	var asked []metav1.ListOptions
	list, err := all(t.Context(), paged{t: t, asked: &asked}, metav1.ListOptions{ResourceVersion: "0", Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]metav1.ListOptions{{Limit: 500}, {Limit: 500, Continue: "more"}}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if len(list.Items) != 2 || len(list.Items[0].Object) != 3 || list.Items[1].Object["spec"] == nil || list.GetResourceVersion() != "7" || list.GetContinue() != "" {
		t.Errorf("got %+v", list)
	}
}

// pagedKueue does so for an informer.
type pagedKueue struct {
	dynamic.Interface
	t     *testing.T
	asked *[]metav1.ListOptions
}

// IsWatchListSemanticsUnSupported has the informer list.
func (pagedKueue) IsWatchListSemanticsUnSupported() bool { return true }

func (k pagedKueue) Resource(r schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return paged{k.Interface.Resource(r), k.t, k.asked}
}

func TestTheInformerReadsInPages(t *testing.T) {
	mapper := newMapper()
	var asked []metav1.ListOptions
	w := NewWatcher(Options{Client: pagedKueue{newKueue(t, mapper), t, &asked}, Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
	woken := make(chan struct{})
	w.Wake(func() { close(woken) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	<-woken
	cancel()
	if err := <-done; err != nil || len(asked) != 2 || asked[0].ResourceVersion != "" || asked[0].Limit != 500 {
		t.Errorf("%v; asked %+v", err, asked)
	}
}

// mute is a Kueue that does not answer who reads topologies.
type mute struct{ dynamic.Interface }

func (m mute) Resource(r schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return muteResource{m.Interface.Resource(r)}
}

type muteResource struct {
	dynamic.NamespaceableResourceInterface
}

func (muteResource) List(ctx context.Context, _ metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// slow are pools of which it takes a while to delete placeholders.
type slow struct{ *pools }

func (s slow) GiveWay(ctx context.Context, pool *v1alpha1.WarmPool, to *metav1.PartialObjectMetadata, victims []string) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Minute):
		return s.pools.GiveWay(ctx, pool, to, victims)
	}
}

// TestWhatIsWaitedFor: Kueue has five seconds to answer, once; deleting has as long as it takes.
func TestWhatIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mapper := newMapper()
		w := NewWatcher(Options{Client: newKueue(t, mapper), Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
		w.seen(waiting(t, "train", "Pending", nothingFits))
		s, p := cluster(t)
		if err := makeRoom(t, w, s, slow{p}, time.Now()); err != nil || strings.Join(p.gone, ",") != "train: on-n1 on-n2" {
			t.Errorf("%v, gave way: %v", err, p.gone)
		}
		p.gone = nil
		w = NewWatcher(Options{Client: mute{newKueue(t, mapper)}, Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
		w.seen(waiting(t, "train", "Pending", nothingFits))
		w.seen(waiting(t, "other", "Pending", strings.Replace(nothingFits, "racks", "other", 1)))
		began := time.Now()
		if err := makeRoom(t, w, s, p, began); err == nil || time.Since(began) != 5*time.Second || len(p.gone) != 0 {
			t.Errorf("%v after %s, gave way: %v", err, time.Since(began), p.gone)
		}
	})
}
