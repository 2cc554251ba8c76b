package decisions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/replay"
)

var (
	start = time.Date(2026, 11, 29, 10, 15, 0, 0, time.UTC)
	pool  = &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", UID: "uid"}}
)

func newClient(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).Build()
}

// decided is a plan at a minute, with so many wanted and so many creates.
func decided(t *testing.T, minute int, wanted, create int32) (v1alpha1.DecisionSpec, replay.Record) {
	t.Helper()
	limits := capacity.Limits{Chunks: []capacity.Chunk{{Name: "single", Min: int64(wanted), Max: 99, WaitCostPerHour: 1}}, MaxChanges: 9}
	at := start.Add(time.Duration(minute) * time.Minute)
	input := replay.NewInput(capacity.Demand{Chunks: make([]capacity.ChunkDemand, 1)}, capacity.State{Chunks: make([]capacity.ChunkState, 1)}, limits, at)
	record, err := replay.NewRecord(input, input.Plan())
	if err != nil {
		t.Fatal(err)
	}
	return v1alpha1.DecisionSpec{
		Pool: "a100", Mode: v1alpha1.ModeEnforce, At: metav1.NewMicroTime(at), Create: create,
		Chunks: []v1alpha1.DecidedChunk{{Name: "single", Demand: fmt.Sprint(minute), Wanted: wanted, Reason: "ForecastDemand"}},
	}, record
}

// addTo decides and concludes.
func addTo(t *testing.T, log *Log, spec v1alpha1.DecisionSpec, record replay.Record) {
	t.Helper()
	d, err := log.Decide(t.Context(), pool, spec, record)
	if err == nil {
		err = log.Conclude(t.Context(), d, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, c client.Client) []v1alpha1.Decision {
	t.Helper()
	var list v1alpha1.DecisionList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// TestTheLastDecisionsAreKept: those that say something new in objects, bounded, also by the next
// leader; every one as a line. Both can be replayed.
func TestTheLastDecisionsAreKept(t *testing.T) {
	c := newClient(t)
	var lines bytes.Buffer
	add := func(log *Log, minute int, wanted, create int32) {
		t.Helper()
		spec, record := decided(t, minute, wanted, create)
		addTo(t, log, spec, record)
	}
	log := New(Options{Live: c, Writer: c, Keep: 3, Lines: &lines})
	add(log, 0, 1, 1)
	add(log, 1, 1, 0) // nothing new
	add(log, 2, 1, 1) // something was done
	add(log, 3, 2, 0) // more is wanted
	if n := len(names(t, c)); n != 3 {
		t.Fatalf("%d kept, want 3", n)
	}
	next := New(Options{Live: c, Writer: c, Keep: 3, Lines: &lines})
	add(next, 4, 5, 0)
	kept := names(t, c)
	if len(kept) != 3 || !strings.HasPrefix(kept[0].Name, "a100-20261129t101700-") || !strings.HasPrefix(kept[2].Name, "a100-20261129t101900-") {
		t.Errorf("kept %d, the first %s, the last %s; want the last three", len(kept), kept[0].Name, kept[len(kept)-1].Name)
	}
	for _, decision := range kept {
		record, err := RecordOf(decision)
		if err != nil {
			t.Fatal(err)
		}
		if outcome, err := record.Replay(); err != nil || !outcome.Identical {
			t.Errorf("%s: %+v, %v", decision.Name, outcome, err)
		}
	}
	rows := strings.Split(strings.TrimSpace(lines.String()), "\n")
	if len(rows) != 5 {
		t.Fatalf("%d lines, want 5", len(rows))
	}
	var line Line
	if err := json.Unmarshal([]byte(rows[4]), &line); err != nil || line.ID != kept[2].Name || line.Decision.Chunks[0].Wanted != 5 {
		t.Errorf("the last line is %+v, %v", line, err)
	}
	if outcome, err := line.Replay(); err != nil || !outcome.Identical {
		t.Errorf("replayed from a line: %+v, %v", outcome, err)
	}
}

// TestAPoolThatOnlyObservesSaysItOnce: its plans have the same steps each time, since none is taken.
func TestAPoolThatOnlyObservesSaysItOnce(t *testing.T) {
	c := newClient(t)
	log := New(Options{Live: c, Writer: c, Keep: 3})
	for minute, wanted := range []int32{1, 1, 2} {
		spec, record := decided(t, minute, wanted, 1)
		spec.Mode = v1alpha1.ModeObserve
		addTo(t, log, spec, record)
	}
	if kept := names(t, c); len(kept) != 2 {
		t.Errorf("%d kept, want the first and the one that wants more", len(kept))
	}
}

// TestADecisionIsThereBeforeItIsDone: who is killed in between leaves it, with an outcome that is not known.
func TestADecisionIsThereBeforeItIsDone(t *testing.T) {
	for name, c := range map[string]struct {
		create  int32
		failed  string
		before  bool
		applied bool
	}{
		"applied":         {1, "", false, true},
		"failed":          {1, "quota exceeded", false, false},
		"nothing to do":   {0, "", true, true},
		"nothing, failed": {0, "quota exceeded", true, true}, // its object is not written again
	} {
		t.Run(name, func(t *testing.T) {
			api := newClient(t)
			log := New(Options{Live: api, Writer: api, Keep: 3})
			spec, record := decided(t, 0, 1, c.create)
			d, err := log.Decide(t.Context(), pool, spec, record)
			if err != nil {
				t.Fatal(err)
			}
			kept := names(t, api)
			if len(kept) != 1 || kept[0].Spec.Applied != c.before || kept[0].Spec.Error != "" || kept[0].Spec.Create != c.create {
				t.Fatalf("before: %+v", kept)
			}
			if err := log.Conclude(t.Context(), d, c.failed); err != nil {
				t.Fatal(err)
			}
			want := c.failed
			if c.create == 0 {
				want = ""
			}
			if now := names(t, api)[0].Spec; now.Applied != c.applied || now.Error != want || now.Digest != record.Digest() {
				t.Errorf("after: applied %t, error %q", now.Applied, now.Error)
			}
		})
	}
}

func TestAChangedDecisionIsNotReplayed(t *testing.T) {
	c := newClient(t)
	spec, record := decided(t, 0, 1, 1)
	addTo(t, New(Options{Live: c, Writer: c, Keep: 1}), spec, record)
	decision := names(t, c)[0]
	forged := decision.DeepCopy()
	_, second := decided(t, 0, 2, 1)
	var err error
	if forged.Spec.Input, _, err = packed(second); err != nil {
		t.Fatal(err)
	}
	if _, err := RecordOf(*forged); err == nil || !strings.Contains(err.Error(), "it was changed") {
		t.Errorf("another input: %v", err)
	}
	decision.Spec.Input = nil
	if _, err := RecordOf(decision); err == nil || !strings.Contains(err.Error(), "too large to keep") {
		t.Errorf("no input: %v", err)
	}
}

// TestADecisionIsSmall: two chunks, 256 paths of an hour each, and 40 placeholders.
func TestADecisionIsSmall(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	limits := capacity.Limits{LeadTime: 10 * time.Minute, Hold: 10 * time.Minute, Interval: time.Minute, GateAge: 40 * time.Second, MaxChanges: 9}
	var demand capacity.Demand
	var state capacity.State
	for _, name := range []string{"node", "single"} {
		limits.Chunks = append(limits.Chunks, capacity.Chunk{Name: name, Max: 99, WaitCostPerHour: 60, IdleCostPerHour: 3})
		one := capacity.ChunkDemand{Now: 17}
		for h := range 60 {
			one.Horizon = append(one.Horizon, time.Duration(h+1)*time.Minute)
		}
		for range 256 {
			path := make([]float64, 60)
			for h := range path {
				path[h] = 20 + 5*random.NormFloat64()
			}
			one.Paths = append(one.Paths, path)
		}
		demand.Chunks = append(demand.Chunks, one)
		var row capacity.ChunkState
		for p := range 20 {
			row.Placeholders = append(row.Placeholders, capacity.Placeholder{
				Name: fmt.Sprintf("a100-%s-%05x", name, random.IntN(1<<20)), Stage: capacity.Reserved, Created: start.Add(-time.Duration(p) * time.Minute), Node: fmt.Sprintf("node-%d", p/8),
			})
		}
		state.Chunks = append(state.Chunks, row)
	}
	input := replay.NewInput(demand, state, limits, start)
	record, err := replay.NewRecord(input, input.Plan())
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := packed(record)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes of JSON, %d gzipped", len(record.Input)+len(record.Result), len(in)+len(out))
	if size := len(in) + len(out); size == 0 || size > 16<<10 {
		t.Errorf("a decision takes %d bytes, want at most 16 KiB", size)
	}
}
