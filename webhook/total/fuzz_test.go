package total

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"forewarm.dev/webhook"
)

// FuzzTotal: no order of writes, retries, failures, deletions, late informers and leaders that
// change, or do not know yet that they have, takes the sum of what is stored above the total.
func FuzzTotal(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, uint16(600))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) {
		w := &totalWorld{rand: rand.New(rand.NewPCG(seed, 1)), total: 10, ledger: Ledger{Complete: true, Entries: map[Key]Entry{}}, stored: map[Key]Seen{}}
		w.leaders = [2]*totalLeader{w.newLeader(0), w.newLeader(0)}
		for range min(steps, 2000) {
			w.step()
			if sum := w.sum(); sum > w.total {
				t.Fatalf("step %d: %d stored, at most %d allowed; ledger %+v; stored %+v", w.now, sum, w.total, w.ledger, w.stored)
			}
		}
		// At rest the ledger is what is stored.
		w.flying = nil
		for _, l := range w.leaders {
			l.watch(w.events, len(w.events))
		}
		for range 4 * lifetime {
			w.now++
			w.look(w.leaders[0])
			w.settle(w.leaders[0])
		}
		if sum := w.sum(); w.ledger.Standing.Replicas != sum || len(w.ledger.Entries) > 0 {
			t.Fatalf("at rest %d are counted, %d are stored; entries %+v", w.ledger.Standing.Replicas, sum, w.ledger.Entries)
		}
	})
}

// lifetime is how many steps a request lives at most.
const lifetime = 12

// resourceOfTotals is that of all objects of the world.
const resourceOfTotals = "deployments.apps"

// totalWorld is an API server with requests in flight, and two that lead, or believe so.
type totalWorld struct {
	rand     *rand.Rand
	now      int
	revision int
	total    int64
	ledger   Ledger
	stored   map[Key]Seen
	// events are all changes of objects, in order.
	events  []totalEvent
	leaders [2]*totalLeader
	flying  []*flight
}

// totalEvent has no Born where the object ends.
type totalEvent struct {
	key Key
	is  Seen
}

// totalLeader knows what its informer has shown, and what it has looked at to settle by.
type totalLeader struct {
	shown    map[Key]Seen
	progress string
	// position is how many events it was shown.
	position int
	since    map[Key]sighting
	sight    *Sight
	over     map[Key]time.Time
}

type flight struct {
	key     Key
	old     Seen // as reviewed; no version for a create
	want    int64
	started int
}

type sighting struct {
	letIn time.Time
	step  int
}

func (w *totalWorld) time() time.Time { return noon.Add(time.Duration(w.now) * time.Second) }

func (w *totalWorld) sum() int64 {
	sum := int64(0)
	for _, s := range w.stored {
		sum += s.Replicas
	}
	return sum
}

// newLeader lists what there was after some events, and so has seen nothing begin.
func (w *totalWorld) newLeader(position int) *totalLeader {
	l := &totalLeader{shown: map[Key]Seen{}, since: map[Key]sighting{}}
	l.watch(w.events, position)
	l.progress = ""
	for key, s := range l.shown {
		s.Born = ""
		l.shown[key] = s
		if Newer(s.Version, l.progress) {
			l.progress = s.Version
		}
	}
	return l
}

// watch shows the leader events up to a position.
func (l *totalLeader) watch(events []totalEvent, to int) {
	for ; l.position < to; l.position++ {
		e := events[l.position]
		before, known := l.shown[e.key]
		if l.progress = e.is.Version; e.is.Born == "" {
			delete(l.shown, e.key)
			continue
		}
		if known && before.Born == "" {
			e.is.Born = "" // it was there when the leader began
		}
		l.shown[e.key] = e.is
	}
}

func (w *totalWorld) step() {
	w.now++
	w.flying = slices.DeleteFunc(w.flying, func(f *flight) bool { return w.now-f.started > lifetime })
	key := Key(resourceOfTotals + "/" + strconv.Itoa(w.rand.IntN(4)))
	which := w.rand.IntN(2)
	l := w.leaders[which]
	switch w.rand.IntN(20) {
	case 0, 1, 2, 3:
		w.begin(key)
	case 4, 5, 6, 7:
		w.land()
	case 8, 9: // a request is reviewed again, or fails later
		if len(w.flying) > 0 {
			i := w.rand.IntN(len(w.flying))
			if w.rand.IntN(2) == 0 || !w.review(w.flying[i]) {
				w.flying = slices.Delete(w.flying, i, i+1)
			}
		}
	case 10, 11:
		if is, there := w.stored[key]; there {
			delete(w.stored, key)
			w.revision++
			w.events = append(w.events, totalEvent{key, Seen{Version: strconv.Itoa(w.revision), Amounts: is.Amounts}})
		}
	case 12, 13, 14:
		l.watch(w.events, min(l.position+w.rand.IntN(4), len(w.events)))
	case 15, 16:
		w.look(l)
	case 17, 18:
		w.settle(l)
	case 19:
		if w.rand.IntN(10) == 0 {
			w.leaders[which] = w.newLeader(max(len(w.events)-w.rand.IntN(8), 0))
		}
	}
}

// begin is a write; one in four believes in what was there before, or that nothing is.
func (w *totalWorld) begin(key Key) {
	f := &flight{key: key, old: w.stored[key], want: int64(w.rand.IntN(9)), started: w.now}
	switch w.rand.IntN(8) {
	case 0, 1:
		f.old = w.leaders[w.rand.IntN(2)].shown[key]
	case 2:
		f.old = Seen{}
	}
	if w.review(f) {
		w.flying = append(w.flying, f)
	}
}

// review is admission: only a growth is looked at.
func (w *totalWorld) review(f *flight) bool {
	if f.want <= f.old.Replicas {
		return true
	}
	decision, entry := w.ledger.Review(Claim{
		Key: f.key, Version: f.old.Version, Old: f.old.Amounts, New: webhook.Amounts{Replicas: f.want},
		Totals: []webhook.Setting{totalOf(webhook.MaxTotalReplicas, strconv.FormatInt(w.total, 10))}, Now: w.time(),
	})
	if decision.Verdict == webhook.Deny {
		return false
	}
	if entry != nil {
		w.ledger.Entries = maps.Clone(w.ledger.Entries)
		w.ledger.Entries[f.key] = *entry
		w.write()
	}
	return true
}

// write is one of the ledger itself.
func (w *totalWorld) write() {
	w.revision++
	w.ledger.Version = strconv.Itoa(w.revision)
}

// land stores what was reviewed, if the object is still the one of the review; else the API
// server reviews again, or the writer is told of the conflict.
func (w *totalWorld) land() {
	if len(w.flying) == 0 {
		return
	}
	i := w.rand.IntN(len(w.flying))
	f := w.flying[i]
	is, there := w.stored[f.key]
	if there != (f.old.Version != "") || is.Version != f.old.Version {
		if f.old.Version != "" && there && w.rand.IntN(2) == 0 {
			f.old = is
			if w.review(f) {
				return
			}
		}
	} else {
		w.revision++
		s := Seen{webhook.Amounts{Replicas: f.want}, strconv.Itoa(w.revision), is.Born}
		if !there {
			s.Born = s.Version
		}
		w.stored[f.key] = s
		w.events = append(w.events, totalEvent{f.key, s})
	}
	w.flying = slices.Delete(w.flying, i, i+1)
}

// look is what a leader does before it settles: it takes what its informer shows, or, where that
// is behind, what the API server has, and reads those whose time is over.
func (w *totalWorld) look(l *totalLeader) {
	l.sight = &Sight{Objects: maps.Clone(l.shown), UpTo: map[string]string{resourceOfTotals: l.progress}}
	l.over = map[Key]time.Time{}
	if len(w.ledger.Behind(*l.sight)) > 0 {
		l.sight.Objects, l.sight.UpTo[resourceOfTotals] = maps.Clone(w.stored), strconv.Itoa(w.revision)
		for key, s := range l.sight.Objects {
			s.Born = l.shown[key].Born
			l.sight.Objects[key] = s
		}
	}
	for key, e := range w.ledger.Entries {
		if _, there := l.sight.Objects[key]; !there {
			l.sight.Objects[key] = Seen{Version: l.sight.UpTo[resourceOfTotals]}
		}
		if first := l.since[key]; !first.letIn.Equal(e.LetIn) {
			l.since[key] = sighting{e.LetIn, w.now}
		} else if w.now-first.step > lifetime {
			l.over[key] = e.LetIn
			l.sight.Objects[key] = w.stored[key]
		}
	}
}

// settle is by what the leader has looked at some time ago.
func (w *totalWorld) settle(l *totalLeader) {
	if l.sight == nil {
		return
	}
	if settled := w.ledger.Settle(*l.sight, l.over); !settled.Equal(w.ledger) {
		w.ledger = settled
		w.write()
	}
	l.sight = nil
}
