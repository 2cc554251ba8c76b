package webhook

import (
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func totalOf(annotation, value string) Setting {
	return Setting{On: Object{Kind: "Namespace", Name: "team"}, Annotation: annotation, Set: true, Value: value}
}

func TestTotal(t *testing.T) {
	web := KeyOf("apps", "deployments", "web")
	standing := func(n int64) Entry { return Entry{Amounts: Amounts{Replicas: n}, Version: "7"} }
	cases := map[string]struct {
		entries    map[Key]Entry
		incomplete bool
		total      Setting
		claim      Claim
		want       Reason
		wantEntry  *Entry
		wantSays   []string
	}{
		"within": {
			entries: map[Key]Entry{"deployments.apps/db": standing(6)}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{New: Amounts{Replicas: 4}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: Amounts{Replicas: 4}, Coming: Creation, Version: "100", LetIn: noon},
		},
		"above": {
			entries: map[Key]Entry{"deployments.apps/db": standing(6)}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{New: Amounts{Replicas: 5}}, want: ReasonAboveTotal,
			wantSays: []string{"Deployment team/web: 5 replicas asked for, 6 used by others, at most 10 in all", `forewarm.dev/max-total-replicas="10" on Namespace team`, "ask for at most 4", "who may edit Namespace team"},
		},
		"nothing left": {
			entries: map[Key]Entry{"deployments.apps/db": standing(12)}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{New: Amounts{Replicas: 1}}, want: ReasonAboveTotal, wantSays: []string{"have others give some back"},
		},
		"a decrease above the total": {
			entries: map[Key]Entry{web: standing(20)}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{Version: "7", Old: Amounts{Replicas: 20}, New: Amounts{Replicas: 15}}, want: ReasonNotGrowing,
		},
		"growing back above the total": {
			entries: map[Key]Entry{web: standing(20)}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{Version: "8", Old: Amounts{Replicas: 15}, New: Amounts{Replicas: 20}}, want: ReasonAboveTotal,
		},
		"asked again under another review UID": {
			entries: map[Key]Entry{web: {Amounts: Amounts{Replicas: 10}, Coming: Updating, Version: "7", LetIn: noon.Add(-time.Second)}}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{Version: "7", Old: Amounts{Replicas: 3}, New: Amounts{Replicas: 10}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: Amounts{Replicas: 10}, Coming: Updating, Version: "7", LetIn: noon},
		},
		"a create of what may be there": {
			entries: map[Key]Entry{web: standing(3)}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{New: Amounts{Replicas: 2}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: Amounts{Replicas: 3}, Coming: Several, Version: "7", LetIn: noon},
		},
		"a stale review": {
			entries: map[Key]Entry{web: {Amounts: Amounts{Replicas: 5}, Coming: Updating, Version: "10", LetIn: noon}}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{Version: "9", Old: Amounts{Replicas: 1}, New: Amounts{Replicas: 2}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: Amounts{Replicas: 5}, Coming: Updating, Version: "10", LetIn: noon},
		},
		"an update of what is still being created": {
			entries: map[Key]Entry{web: {Amounts: Amounts{Replicas: 5}, Coming: Creation, Version: "90", LetIn: noon}}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{Version: "95", Old: Amounts{Replicas: 5}, New: Amounts{Replicas: 6}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: Amounts{Replicas: 6}, Coming: Several, Version: "95", LetIn: noon},
		},
		"while it is being counted": {
			incomplete: true, entries: map[Key]Entry{"deployments.apps/db": standing(12)}, total: totalOf(MaxTotalReplicas, "10"),
			claim: Claim{New: Amounts{Replicas: 1}}, want: ReasonWithinTotal, wantEntry: &Entry{Amounts: Amounts{Replicas: 1}, Coming: Creation, Version: "100", LetIn: noon},
		},
		"replicas do not matter to GPUs": {
			total: totalOf(MaxGPUs, "8"), claim: Claim{New: Amounts{Replicas: 100}}, want: ReasonNotGrowing,
		},
		"GPUs": {
			entries: map[Key]Entry{"jobs.batch/train": {Amounts: Amounts{GPUs: 6}}}, total: totalOf(MaxGPUs, "8"),
			claim: Claim{New: Amounts{Replicas: 2, GPUs: 4}}, want: ReasonAboveTotal, wantSays: []string{"4 GPUs asked for, 6 used by others, at most 8 in all"},
		},
		"malformed": {
			total: totalOf(MaxTotalReplicas, "lots"), claim: Claim{New: Amounts{Replicas: 2}}, want: ReasonWithinTotal,
			wantEntry: &Entry{Amounts: Amounts{Replicas: 2}, Coming: Creation, Version: "100", LetIn: noon},
		},
		"warn": {
			total: totalOf(MaxTotalReplicas, "1"), claim: Claim{Mode: Warn, New: Amounts{Replicas: 2}}, want: ReasonAboveTotal,
			wantEntry: &Entry{Amounts: Amounts{Replicas: 2}, Coming: Creation, Version: "100", LetIn: noon},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.claim.Object, c.claim.Key = Object{Kind: "Deployment", Namespace: "team", Name: "web"}, web
			c.claim.Totals, c.claim.Now = []Setting{c.total}, noon
			l := Ledger{Version: "100", Complete: !c.incomplete, Entries: c.entries}
			decision, entry := l.Review(c.claim)
			if decision.Reason != c.want || (decision.Verdict == Deny) != (c.want == ReasonAboveTotal && c.claim.Mode == "") {
				t.Errorf("decision %+v, want %s", decision, c.want)
			}
			if diff := cmp.Diff(c.wantEntry, entry); diff != "" {
				t.Errorf("entry:\n%s", diff)
			}
			for _, part := range c.wantSays {
				if !strings.Contains(decision.Message, part) {
					t.Errorf("message %q lacks %q", decision.Message, part)
				}
			}
		})
	}
}

func TestSettle(t *testing.T) {
	at := func(n int64, version string) Seen { return Seen{Amounts: Amounts{Replicas: n}, Version: version} }
	born := func(n int64, version, born string) Seen { return Seen{Amounts{Replicas: n}, version, born} }
	counted := func(n int64, version string) Entry { return Entry{Amounts: Amounts{Replicas: n}, Version: version} }
	coming := func(what Coming, n int64, version string) Entry {
		return Entry{Amounts: Amounts{Replicas: n}, Coming: what, Version: version, LetIn: noon}
	}
	cases := map[string]struct {
		entry Entry
		seen  Seen
		over  time.Time
		want  Entry
	}{
		"follows up":                           {counted(3, "7"), at(5, "8"), time.Time{}, counted(5, "8")},
		"follows down":                         {counted(3, "7"), at(1, "8"), time.Time{}, counted(1, "8")},
		"not back to what was before":          {counted(3, "10"), at(1, "9"), time.Time{}, counted(3, "10")},
		"gone":                                 {counted(3, "7"), at(0, "8"), time.Time{}, Entry{}},
		"not shown yet":                        {counted(3, "7"), at(0, "6"), time.Time{}, counted(3, "7")},
		"a growth that is coming":              {coming(Updating, 5, "7"), at(3, "7"), time.Time{}, coming(Updating, 5, "7")},
		"a growth that is stored":              {coming(Updating, 5, "7"), at(5, "8"), time.Time{}, counted(5, "8")},
		"a growth that was overtaken":          {coming(Updating, 5, "7"), at(2, "8"), time.Time{}, counted(2, "8")},
		"a growth of what was deleted":         {coming(Updating, 5, "7"), at(0, "8"), time.Time{}, Entry{}},
		"a growth that did not come":           {coming(Updating, 5, "7"), at(3, "7"), noon, counted(3, "7")},
		"a growth that was let in since":       {coming(Updating, 5, "7"), at(3, "7"), noon.Add(-time.Second), coming(Updating, 5, "7")},
		"a create that is coming":              {coming(Creation, 5, "7"), at(0, "9"), time.Time{}, coming(Creation, 5, "7")},
		"a create that did not come":           {coming(Creation, 5, "7"), Seen{}, noon, Entry{}},
		"a create that is stored":              {coming(Creation, 5, "7"), born(5, "9", "8"), time.Time{}, counted(5, "9")},
		"a create after what is shown still":   {coming(Creation, 5, "7"), born(2, "9", "6"), time.Time{}, coming(Creation, 5, "7")},
		"a create of which nobody saw the end": {coming(Creation, 5, "7"), at(5, "9"), time.Time{}, coming(Creation, 5, "7")},
		"one of several is stored":             {coming(Several, 5, "7"), born(5, "9", "8"), time.Time{}, coming(Several, 5, "7")},
		"none of several can come":             {coming(Several, 5, "7"), at(4, "9"), noon, counted(4, "9")},
		"versions that cannot be compared":     {coming(Updating, 5, "a"), at(3, "b"), time.Time{}, coming(Updating, 5, "a")},
		"an object of zero takes no room":      {counted(3, "7"), at(0, "8"), time.Time{}, Entry{}},
		"more than was let in is told as is":   {coming(Updating, 5, "7"), at(9, "7"), time.Time{}, coming(Updating, 9, "7")},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			seen, over, want := map[Key]Seen{}, map[Key]time.Time{}, map[Key]Entry{}
			if c.seen.Version != "" {
				seen["x"] = c.seen
			}
			if !c.over.IsZero() {
				over["x"] = c.over
			}
			if c.want != (Entry{}) {
				want["x"] = c.want
			}
			before := Ledger{Complete: true, Entries: map[Key]Entry{"x": c.entry}}
			got := before.Settle(seen, over)
			if diff := cmp.Diff(Ledger{Complete: true, Entries: want}, got); diff != "" {
				t.Errorf("ledger:\n%s", diff)
			}
			if again := got.Settle(seen, over); !again.Equal(got) {
				t.Errorf("settling twice: %+v, want %+v", again, got)
			}
		})
	}
}

// FuzzTotal: no order of writes, retries, failures, deletions and late informers takes the sum
// of what is stored above the total.
func FuzzTotal(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, uint16(600))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) {
		w := &totalWorld{
			rand: rand.New(rand.NewPCG(seed, 1)), total: 10, ledger: Ledger{Complete: true, Entries: map[Key]Entry{}},
			stored: map[Key]Seen{}, shown: map[Key]Seen{}, since: map[Key]sighting{},
		}
		for range min(steps, 2000) {
			w.step()
			sum := int64(0)
			for _, s := range w.stored {
				sum += s.Replicas
			}
			if sum > w.total {
				t.Fatalf("step %d: %d stored, at most %d allowed; ledger %+v; stored %+v", w.now, sum, w.total, w.ledger, w.stored)
			}
		}
		// At rest the ledger is what is stored.
		w.flying = nil
		for _, event := range w.events {
			event()
		}
		for range 2 * lifetime {
			w.now++
			w.settle()
		}
		for key, e := range w.ledger.Entries {
			if w.stored[key].Replicas != e.Replicas {
				t.Fatalf("at rest %s counts for %d, %d are stored", key, e.Replicas, w.stored[key].Replicas)
			}
		}
	})
}

// lifetime is how many steps a request lives at most.
const lifetime = 12

// totalWorld is an API server with requests in flight, an informer that is behind, and a leader.
type totalWorld struct {
	rand          *rand.Rand
	now           int
	revision      int
	total         int64
	ledger        Ledger
	stored, shown map[Key]Seen
	progress      string
	events        []func()
	flying        []*flight
	since         map[Key]sighting
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

func (w *totalWorld) step() {
	w.now++
	w.flying = remove(w.flying, func(f *flight) bool { return w.now-f.started > lifetime })
	key := Key(strconv.Itoa(w.rand.IntN(4)))
	switch w.rand.IntN(8) {
	case 0, 1: // a write begins; one in four believes in what was there before, or that nothing is
		f := &flight{key: key, want: int64(w.rand.IntN(9)), started: w.now}
		if f.old = w.stored[key]; w.rand.IntN(4) == 0 {
			f.old = w.shown[key]
		} else if w.rand.IntN(4) == 0 {
			f.old = Seen{}
		}
		if w.review(f) {
			w.flying = append(w.flying, f)
		}
	case 2, 3:
		w.land()
	case 4: // a request is reviewed again, or fails later
		if len(w.flying) > 0 {
			i := w.rand.IntN(len(w.flying))
			if w.rand.IntN(2) == 0 || !w.review(w.flying[i]) {
				w.flying = append(w.flying[:i:i], w.flying[i+1:]...)
			}
		}
	case 5:
		if _, there := w.stored[key]; there {
			delete(w.stored, key)
			w.revision++
			w.show(key, Seen{Version: strconv.Itoa(w.revision)})
		}
	case 6:
		for n := w.rand.IntN(4); n > 0 && len(w.events) > 0; n-- {
			w.events[0]()
			w.events = w.events[1:]
		}
	case 7:
		w.settle()
	}
}

// review is admission: only a growth is looked at.
func (w *totalWorld) review(f *flight) bool {
	if f.want <= f.old.Replicas {
		return true
	}
	decision, entry := w.ledger.Review(Claim{
		Key: f.key, Version: f.old.Version, Old: f.old.Amounts, New: Amounts{Replicas: f.want},
		Totals: []Setting{totalOf(MaxTotalReplicas, strconv.FormatInt(w.total, 10))}, Now: w.time(),
	})
	if decision.Verdict == Deny {
		return false
	}
	if entry != nil {
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
		s := Seen{Amounts{Replicas: f.want}, strconv.Itoa(w.revision), is.Born}
		if !there {
			s.Born = s.Version
		}
		w.stored[f.key] = s
		w.show(f.key, s)
	}
	w.flying = append(w.flying[:i:i], w.flying[i+1:]...)
}

// show has the informer learn of it some time.
func (w *totalWorld) show(key Key, s Seen) {
	w.events = append(w.events, func() {
		w.shown[key], w.progress = s, s.Version
		if s.Born == "" {
			delete(w.shown, key)
		}
	})
}

// settle is the leader: what an informer shows, and a look at those whose time is over.
func (w *totalWorld) settle() {
	seen, over := maps.Clone(w.shown), map[Key]time.Time{}
	for key, e := range w.ledger.Entries {
		if _, there := seen[key]; !there {
			seen[key] = Seen{Version: w.progress}
		}
		if e.Coming == "" {
			continue
		}
		if first := w.since[key]; !first.letIn.Equal(e.LetIn) {
			w.since[key] = sighting{e.LetIn, w.now}
		} else if w.now-first.step > lifetime {
			over[key] = e.LetIn
			seen[key] = w.stored[key]
		}
	}
	if settled := w.ledger.Settle(seen, over); !settled.Equal(w.ledger) {
		w.ledger = settled
		w.write()
	}
}

func remove(flights []*flight, gone func(*flight) bool) []*flight {
	var out []*flight
	for _, f := range flights {
		if !gone(f) {
			out = append(out, f)
		}
	}
	return out
}
