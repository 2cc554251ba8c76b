package capacity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/internal/quantity"
)

const gpu = "nvidia.com/gpu"

var (
	now    = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	node   = Chunk{Name: "node", Requests: quantity.Vector{gpu: 8}, WaitCostPerHour: 400, IdleCostPerHour: 24, Max: 4}
	single = Chunk{Name: "single", Requests: quantity.Vector{gpu: 1}, WaitCostPerHour: 60, IdleCostPerHour: 3, Max: 16}
)

func limitsOf(chunks ...Chunk) Limits {
	return Limits{Chunks: chunks, LeadTime: 6 * time.Minute, Hold: 10 * time.Minute, Interval: time.Minute, GateAge: 40 * time.Second, MaxChanges: 100}
}

// rising is a demand whose paths rise to now + 1, now + 2, … now + n within the lead time.
func rising(now float64, n int) ChunkDemand {
	d := ChunkDemand{Now: now, Horizon: []time.Duration{5 * time.Minute, 30 * time.Minute}}
	for i := 1; i <= n; i++ {
		d.Paths = append(d.Paths, []float64{now + float64(i), 1e6})
	}
	return d
}

func held(n int) []Placeholder {
	var p []Placeholder
	for i := range n {
		p = append(p, Placeholder{Name: fmt.Sprintf("held-%03d", i), Stage: Reserved, Created: now.Add(time.Duration(i) * time.Second)})
	}
	return p
}

func gated(n int) []Placeholder {
	var p []Placeholder
	for i := range n {
		p = append(p, Placeholder{Name: fmt.Sprintf("gated-%03d", i), Stage: Gated, Created: now.Add(-time.Duration(i) * time.Second)})
	}
	return p
}

func TestTauIsTheCriticalFractile(t *testing.T) {
	tests := map[string]struct {
		chunk      Chunk
		lead, hold time.Duration
		want       float64
	}{
		"worked example of docs/calculations.md": {single, 6 * time.Minute, 10 * time.Minute, 6.0 / 6.5},
		"waiting costs nothing":                  {Chunk{IdleCostPerHour: 3}, time.Minute, time.Minute, 0},
		"idling costs nothing":                   {Chunk{WaitCostPerHour: 1}, time.Minute, time.Minute, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Tau(test.chunk, test.lead, test.hold); math.Abs(got-test.want) > 1e-12 {
				t.Errorf("Tau = %v, want %v", got, test.want)
			}
		})
	}
}

func TestPlanWantsTheFractileOfThePeakLessWhatIsThere(t *testing.T) {
	tests := map[string]struct {
		demand     ChunkDemand
		free       int64
		chunk      Chunk
		wantWanted int64
		wantReason Reason
		wantBeyond int64
	}{
		"rise of 1..13 at tau 12/13": {rising(20, 13), 0, single, 12, ReasonForecast, 0},
		"free room absorbs some":     {rising(20, 13), 5, single, 7, ReasonForecast, 0},
		"free room absorbs all":      {rising(20, 13), 50, single, 0, ReasonSteady, 0},
		"limited by max":             {rising(20, 100), 0, single, 16, ReasonMax, 77},
		"no forecast":                {ChunkDemand{Now: 5}, 0, single, 0, ReasonSteady, 0},
		"no forecast but min":        {ChunkDemand{Now: 5}, 0, Chunk{Name: "m", Min: 2, Max: 4, WaitCostPerHour: 1}, 2, ReasonMin, 0},
		"falling demand":             {ChunkDemand{Now: 50, Horizon: []time.Duration{time.Minute}, Paths: [][]float64{{3}, {4}}}, 0, single, 0, ReasonSteady, 0},
		"NaN path":                   {ChunkDemand{Now: 5, Horizon: []time.Duration{time.Minute}, Paths: [][]float64{{math.NaN()}}}, 0, single, 0, ReasonSteady, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Plan(Demand{[]ChunkDemand{test.demand}}, State{Chunks: []ChunkState{{Free: test.free}}}, limitsOf(test.chunk), now).Chunks[0]
			if got.Wanted != test.wantWanted || got.Reason != test.wantReason || got.Limited != test.wantBeyond {
				t.Errorf("wanted %d %s limited %d, want %d %s %d", got.Wanted, got.Reason, got.Limited, test.wantWanted, test.wantReason, test.wantBeyond)
			}
		})
	}
}

func count(steps []Step) map[Action]int {
	n := map[Action]int{}
	for _, s := range steps {
		n[s.Action]++
	}
	return n
}

func TestPlanSteps(t *testing.T) {
	tests := map[string]struct {
		demand ChunkDemand
		state  ChunkState
		limits Limits
		want   map[Action]int
	}{
		"from nothing":                    {rising(20, 13), ChunkState{}, limitsOf(single), map[Action]int{Create: 13, Ungate: 12}},
		"gated are used first":            {rising(20, 13), ChunkState{Placeholders: gated(14)}, limitsOf(single), map[Action]int{Ungate: 12}},
		"max counts gated too":            {rising(20, 100), ChunkState{Placeholders: gated(3)}, limitsOf(single), map[Action]int{Create: 13, Ungate: 16}},
		"kept for the hold time":          {rising(20, 1), ChunkState{Kept: 8, Placeholders: held(8)}, limitsOf(single), map[Action]int{Create: 1}},
		"a quarter is released":           {rising(20, 1), ChunkState{Placeholders: held(9)}, limitsOf(single), map[Action]int{Create: 1, Delete: 2}},
		"above a lowered max all at once": {ChunkDemand{Now: 1}, ChunkState{Kept: 99, Placeholders: append(held(20), gated(4)...)}, limitsOf(single), map[Action]int{Delete: 8}},
		"finished ones are removed":       {rising(0, 1), ChunkState{Placeholders: []Placeholder{{Name: "f", Stage: Finished}, {Name: "g", Stage: Gated}, {Name: "h", Stage: Reserved}}}, limitsOf(single), map[Action]int{Delete: 1}},
		"frozen":                          {rising(20, 13), ChunkState{Placeholders: held(40)}, frozen(limitsOf(single)), map[Action]int{}},
		"few changes at once":             {rising(20, 13), ChunkState{}, few(limitsOf(single), 3), map[Action]int{Create: 3, Ungate: 3}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plan := Plan(Demand{[]ChunkDemand{test.demand}}, State{Chunks: []ChunkState{test.state}}, test.limits, now)
			if diff := cmp.Diff(test.want, count(plan.Steps)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func frozen(l Limits) Limits { l.Frozen = ReasonConflict; return l }

func few(l Limits, n int) Limits { l.MaxChanges = n; return l }

func TestOutdatedShapesAreReplaced(t *testing.T) {
	state := State{Chunks: []ChunkState{{}}, Outdated: []string{"old-1", "old-2"}}
	demand := Demand{[]ChunkDemand{rising(20, 13)}}
	plan := Plan(demand, state, limitsOf(single), now)
	want := map[Action]int{Create: 13, Ungate: 12, Delete: 2}
	if diff := cmp.Diff(want, count(plan.Steps)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if got := plan.Steps[1]; got.Pod != "old-2" || got.Reason != ReasonOutdated {
		t.Errorf("second step %+v, want the deletion of old-2, before its room is asked for", got)
	}
	if steps := Plan(demand, state, frozen(limitsOf(single)), now).Steps; len(steps) > 0 {
		t.Errorf("a frozen pool has steps %v", steps)
	}
}

func TestReleaseEmptiesANodeFirst(t *testing.T) {
	placeholders := []Placeholder{
		{Name: "beside-work", Stage: Reserved, Companions: RealWeight},
		{Name: "alone", Stage: Reserved, Companions: 0},
		{Name: "beside-two", Stage: Reserved, Companions: 2},
		{Name: "waiting", Stage: Pending},
	}
	plan := Plan(Demand{[]ChunkDemand{{}}}, State{Chunks: []ChunkState{{Placeholders: placeholders}}}, limitsOf(single), now)
	var got []string
	for _, step := range plan.Steps {
		if step.Action == Delete {
			got = append(got, step.Pod)
		}
	}
	if diff := cmp.Diff([]string{"waiting"}, got); diff != "" {
		t.Errorf("first release (-want +got):\n%s", diff)
	}
	plan = Plan(Demand{[]ChunkDemand{{}}}, State{Chunks: []ChunkState{{Placeholders: placeholders[:3]}}}, limitsOf(single), now)
	if got := plan.Steps[0].Pod; got != "alone" {
		t.Errorf("released %q, want the one alone on its node", got)
	}
}

// TestReleaseEmptiesNodesWhole: of nodes with as many placeholders each, one goes whole.
func TestReleaseEmptiesNodesWhole(t *testing.T) {
	var placeholders []Placeholder
	for i := range 16 {
		node := fmt.Sprintf("node-%d", i%4) // spread as the scheduler does
		placeholders = append(placeholders, Placeholder{Name: fmt.Sprintf("p-%02d", i), Stage: Reserved, Node: node, Companions: 3, Created: now.Add(time.Duration(i) * time.Second)})
	}
	freed := map[string]int{}
	for _, step := range Plan(Demand{[]ChunkDemand{{}}}, State{Chunks: []ChunkState{{Placeholders: placeholders}}}, limitsOf(single), now).Steps {
		if step.Action == Delete {
			freed[placeholders[slices.IndexFunc(placeholders, func(p Placeholder) bool { return p.Name == step.Pod })].Node]++
		}
	}
	if diff := cmp.Diff(map[string]int{"node-0": 4}, freed); diff != "" {
		t.Errorf("released per node (-want +got):\n%s", diff)
	}
}

// TestExpiringPlaceholdersAreReplacedInPlace: a deadline ends nothing that is still wanted.
func TestExpiringPlaceholdersAreReplacedInPlace(t *testing.T) {
	placeholders := held(12)
	for i := range placeholders {
		placeholders[i].Expires = now.Add(30 * time.Minute)
	}
	plan := Plan(Demand{[]ChunkDemand{rising(20, 13)}}, State{Chunks: []ChunkState{{Placeholders: append(placeholders, gated(2)...)}}}, limitsOf(single), now)
	var got []string
	for _, step := range plan.Steps {
		got = append(got, fmt.Sprintf("%s %s", step.Action, step.Reason))
	}
	want := []string{"Delete Expiring", "Delete Expiring", "Create SpareGated", "Ungate ForecastDemand", "Ungate ForecastDemand"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	for i := range placeholders {
		placeholders[i].Expires = now.Add(2 * time.Hour)
	}
	if steps := Plan(Demand{[]ChunkDemand{rising(20, 13)}}, State{Chunks: []ChunkState{{Placeholders: append(placeholders, gated(1)...)}}}, limitsOf(single), now).Steps; len(steps) > 0 {
		t.Errorf("two hours before the deadline: %v", steps)
	}
}

// TestRenewalIsDoneBeforeTheDeadline however rarely plans are made: no placeholder that is wanted ever ends.
func TestRenewalIsDoneBeforeTheDeadline(t *testing.T) {
	for _, interval := range []time.Duration{time.Minute, 6 * time.Minute, 20 * time.Minute, time.Hour} {
		kept := single
		kept.Min = 12
		limits := limitsOf(kept)
		limits.Interval = interval
		placeholders := held(12)
		for i := range placeholders {
			placeholders[i].Expires = now.Add(24 * time.Hour)
		}
		for at := now; at.Before(now.Add(25 * time.Hour)); at = at.Add(interval) {
			for _, step := range Plan(Demand{[]ChunkDemand{{}}}, State{Chunks: []ChunkState{{Kept: 12, Placeholders: placeholders}}}, limits, at).Steps {
				if step.Reason != ReasonExpiring {
					continue
				}
				i := slices.IndexFunc(placeholders, func(p Placeholder) bool { return p.Name == step.Pod })
				placeholders[i].Expires = at.Add(24 * time.Hour) // another takes its place
			}
			for _, p := range placeholders {
				if !p.Expires.After(at) {
					t.Fatalf("a plan each %s: %s ended at %s, which is not after %s", interval, p.Name, p.Expires, at)
				}
			}
		}
	}
}

// TestNothingIsRenewedWhileNoneIsUngated: what is deleted is to be replaced at once, in its own room. Where the ungating
// fails again and again, or is held up, one plan after the other would delete them all.
func TestNothingIsRenewedWhileNoneIsUngated(t *testing.T) {
	kept := single
	kept.Min = 12
	for name, c := range map[string]struct {
		held   int
		paused Reason
		want   int
	}{
		"all stand":                      {12, "", 2},
		"one was not ungated":            {11, "", 0},
		"what was freed is for somebody": {12, ReasonTakenOver, 0},
	} {
		limits := limitsOf(kept)
		limits.Paused = c.paused
		placeholders := held(c.held)
		for i := range placeholders {
			placeholders[i].Expires = now.Add(time.Minute)
		}
		steps := Plan(Demand{[]ChunkDemand{{}}}, State{Chunks: []ChunkState{{Kept: 12, Placeholders: append(placeholders, gated(2)...)}}}, limits, now).Steps
		if n := count(steps); n[Delete] != c.want {
			t.Errorf("%s: %d deleted, want %d", name, n[Delete], c.want)
		}
	}
}

// TestPlanProperties holds what must hold whatever the input: never above max, every named
// pod exists and is touched once, and planning again after the steps changes nothing.
func TestPlanProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		chunk := Chunk{Name: "c", Requests: quantity.Vector{gpu: 1}, WaitCostPerHour: 60 * random.Float64(), IdleCostPerHour: 3, Max: random.Int64N(30)}
		chunk.Min = random.Int64N(chunk.Max + 1)
		limits := limitsOf(chunk)
		limits.MaxChanges = 1000
		demand := Demand{[]ChunkDemand{rising(random.Float64()*50, random.IntN(40))}}
		state := State{Chunks: []ChunkState{{Free: random.Int64N(10), Placeholders: append(held(random.IntN(20)), gated(random.IntN(20))...)}}}
		state.Chunks[0].Kept = random.Int64N(20)

		plan := Plan(demand, state, limits, now)
		after := take(t, state.Chunks[0].Placeholders, plan.Steps)
		if n := int64(len(after)); n > chunk.Max && n > int64(len(state.Chunks[0].Placeholders)) {
			t.Fatalf("%d placeholders after the plan, max %d", n, chunk.Max)
		}
		if plan.Chunks[0].Wanted > chunk.Max || plan.Chunks[0].Wanted < chunk.Min {
			t.Fatalf("wanted %d outside %d..%d", plan.Chunks[0].Wanted, chunk.Min, chunk.Max)
		}
		state.Chunks[0].Placeholders = after
		state.Chunks[0].Kept = max(state.Chunks[0].Kept, int64(len(after))) // nothing to release
		if again := Plan(demand, state, limits, now).Steps; len(again) > 0 {
			t.Fatalf("planning twice changes %v", again)
		}
	}
}

// take applies steps to placeholders as the reserver would.
func take(t *testing.T, placeholders []Placeholder, steps []Step) []Placeholder {
	t.Helper()
	stage := map[string]Stage{}
	for _, p := range placeholders {
		stage[p.Name] = p.Stage
	}
	var fresh []string
	for i, step := range steps {
		switch step.Action {
		case Create:
			name := fmt.Sprintf("new-%03d", i)
			stage[name] = Gated
			fresh = append(fresh, name)
		case Ungate:
			name := step.Pod
			if name == "" {
				name, fresh = fresh[0], fresh[1:]
			}
			if stage[name] != Gated {
				t.Fatalf("ungate of %q, which is not gated", name)
			}
			stage[name] = Pending
		case Delete:
			if _, ok := stage[step.Pod]; !ok {
				t.Fatalf("delete of %q, which is not there", step.Pod)
			}
			delete(stage, step.Pod)
		}
	}
	var after []Placeholder
	for name, s := range stage {
		after = append(after, Placeholder{Name: name, Stage: s})
	}
	return after
}

func TestShapeOfAPod(t *testing.T) {
	tests := map[string]struct {
		gpus       int64
		wantChunk  string
		wantAmount float64
		wantOK     bool
	}{
		"none":           {0, "", 0, false},
		"single":         {1, "single", 1, true},
		"between":        {4, "single", 4, true},
		"node":           {8, "node", 1, true},
		"larger than it": {16, "node", 2, true},
	}
	chunks := []Chunk{node, single}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			index, amount, ok := Shape(chunks, gpu, quantity.Vector{gpu: test.gpus})
			if ok != test.wantOK || ok && (chunks[index].Name != test.wantChunk || amount != test.wantAmount) {
				t.Errorf("Shape = %d %v %v, want %s %v %v", index, amount, ok, test.wantChunk, test.wantAmount, test.wantOK)
			}
		})
	}
	if index, amount, ok := Shape([]Chunk{node}, gpu, quantity.Vector{gpu: 2}); index != 0 || amount != 0.25 || !ok {
		t.Errorf("a pod smaller than every chunk: %d %v %v, want 0 0.25 true", index, amount, ok)
	}
	nothing := Chunk{Name: "nothing", Requests: quantity.Vector{gpu: 0}}
	if index, amount, ok := Shape([]Chunk{nothing, single}, gpu, quantity.Vector{gpu: 2}); index != 1 || amount != 2 || !ok {
		t.Errorf("beside a chunk of nothing: %d %v %v, want 1 2 true", index, amount, ok)
	}
	if _, amount, ok := Shape([]Chunk{nothing}, gpu, quantity.Vector{gpu: 2}); ok {
		t.Errorf("chunks of nothing take %v of a pod", amount)
	}
}

func TestFreeChunksCountsNoRoomTwice(t *testing.T) {
	rooms := []quantity.Vector{{gpu: 8}, {gpu: 3}, {gpu: 9}}
	got := FreeChunks([]Chunk{single, node}, gpu, rooms)
	if diff := cmp.Diff([]int64{4, 2}, got); diff != "" {
		t.Errorf("FreeChunks (-want +got):\n%s", diff)
	}
	if rooms[0][gpu] != 8 {
		t.Error("FreeChunks changed its input")
	}
}

func TestHorizonReachesOneIntervalBeyondTheLeadTime(t *testing.T) {
	limits := Limits{LeadTime: 150 * time.Second, Interval: time.Minute}
	want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 210 * time.Second}
	if diff := cmp.Diff(want, limits.Horizon()); diff != "" {
		t.Errorf("horizon (-want +got):\n%s", diff)
	}
	limits = Limits{LeadTime: 2 * time.Hour, Interval: time.Second}
	if n := len(limits.Horizon()); n > mostSteps+1 {
		t.Errorf("%d steps, want at most %d", n, mostSteps+1)
	}
}
