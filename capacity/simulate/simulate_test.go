package simulate

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
	"forewarm.dev/internal/quantity"
)

const gpu = "nvidia.com/gpu"

var start = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// chunks are the two shapes of the demo, as pool and plan know them.
func chunks() ([]ChunkSize, []capacity.Chunk) {
	return []ChunkSize{{"node", 8}, {"single", 1}}, []capacity.Chunk{
		{Name: "node", Requests: quantity.Vector{gpu: 8}, WaitCostPerHour: 400, IdleCostPerHour: 24, Max: 50},
		{Name: "single", Requests: quantity.Vector{gpu: 1}, WaitCostPerHour: 60, IdleCostPerHour: 3, Max: 200},
	}
}

// ramp is a job of one GPU every half a minute for an hour, on Karpenter with six minutes of lead.
func ramp() Options {
	var jobs []Job
	for i := range 120 {
		jobs = append(jobs, Job{At: time.Hour + time.Duration(i)*30*time.Second, Run: 3 * time.Hour, GPUs: 1})
	}
	sizes, planned := chunks()
	return Options{
		Trace:  NewTrace(start, 2*time.Hour, jobs),
		Pool:   Pool{NodeGPUs: 8, Chunks: sizes, Lead: Lead{P50: 6 * time.Minute}, Autoscaler: Karpenter(10 * time.Minute)},
		Limits: capacity.Limits{Chunks: planned, LeadTime: 6 * time.Minute, Hold: 10 * time.Minute, Interval: time.Minute, MaxChanges: 100},
		From:   50 * time.Minute, Score: time.Hour, Until: 2 * time.Hour,
	}
}

// always keeps so many placeholders of the second chunk, whatever happens.
func always(o *Options, n int64) {
	o.Limits.Chunks[1].Min = n
	o.Expect = func(_ time.Duration, now []float64) (capacity.Demand, error) {
		return capacity.Demand{Chunks: []capacity.ChunkDemand{{Now: now[0]}, {Now: now[1]}}}, nil
	}
}

func run(t *testing.T, o Options) Outcome {
	t.Helper()
	got, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPlaceholdersTradeIdleForWaiting(t *testing.T) {
	alone := run(t, ramp())
	o := ramp()
	always(&o, 24)
	constant := run(t, o)
	oracle := run(t, Oracle(ramp()))
	if len(alone.Waits) != 120 || len(constant.Waits) != 120 || len(oracle.Waits) != 120 {
		t.Fatalf("%d, %d and %d waits, want all 120", len(alone.Waits), len(constant.Waits), len(oracle.Waits))
	}
	if got := alone.Wait(1); got != 6*time.Minute+time.Second {
		t.Errorf("longest wait of a job that needs a node %v, want the lead time and Karpenter's batch", got)
	}
	if constant.Wait(0.95) > 0 || alone.Wait(0.95) < 3*time.Minute || oracle.Wait(1) > 0 {
		t.Errorf("p95: alone %v, constant %v, oracle %v", alone.Wait(0.95), constant.Wait(0.95), oracle.Wait(1))
	}
	if !(oracle.IdleGPUHours() <= alone.IdleGPUHours()+8 && alone.IdleGPUHours() < constant.IdleGPUHours()) {
		t.Errorf("idle: oracle %.1f, alone %.1f, constant %.1f", oracle.IdleGPUHours(), alone.IdleGPUHours(), constant.IdleGPUHours())
	}
	if constant.Takeovers < 60 {
		t.Errorf("%d takeovers of 120 jobs, want most to take a placeholder", constant.Takeovers)
	}
}

func TestAnEmptyNodeIsGivenBack(t *testing.T) {
	o := ramp()
	o.Trace.Jobs = []Job{{At: 0, Run: 55 * time.Minute, GPUs: 8}}
	if got := run(t, o).GPUHours; math.Abs(got-8*5.0/60) > 1e-9 { // ends 5 min before, goes 5 min into it
		t.Errorf("%.3f GPU-hours, want those of 8 GPUs for 5 minutes", got)
	}
	o.Pool.MinBilling = time.Hour
	if got := run(t, o).BilledNodeHours; math.Abs(got-50.0/60) > 1e-9 { // ready at −10 min, paid until +50
		t.Errorf("%.3f node-hours billed, want the 50 minutes of its least hour that are scored", got)
	}
}

func TestAGangWaitsForItsLastPod(t *testing.T) {
	o := ramp()
	o.Trace.Jobs = []Job{{At: time.Hour + time.Minute, Run: time.Hour, GPUs: 16}}
	if got := run(t, o); len(got.Waits) != 1 || got.Waits[0] != 6*time.Minute+time.Second || got.Bought != 2 {
		t.Errorf("waits %v and %d nodes, want one of 361 s and 2", got.Waits, got.Bought)
	}
}

func TestTimersOfAutoscalers(t *testing.T) {
	at := time.Hour + time.Minute + 3*time.Second
	for name, c := range map[string]struct {
		timers Autoscaler
		want   time.Duration
	}{
		"Karpenter":          {Karpenter(time.Minute), 6*time.Minute + time.Second},
		"Cluster Autoscaler": {ClusterAutoscaler(), 6*time.Minute + 37*time.Second}, // 30 s of age, then its loop of 10 s
	} {
		o := ramp()
		o.Pool.Autoscaler = c.timers
		o.Trace.Jobs = []Job{{At: at, Run: time.Hour, GPUs: 1}}
		if got := run(t, o).Waits[0]; got != c.want {
			t.Errorf("%s: waited %v, want %v", name, got, c.want)
		}
	}
}

// TestPodsTakeTimeToRun: one that finds room, one in a placeholder's place, and one that waits for a node.
func TestPodsTakeTimeToRun(t *testing.T) {
	o := ramp()
	always(&o, 1)
	o.Pool.Start, o.Pool.Takeover = 2*time.Second, 3*time.Second
	at := time.Hour + time.Minute
	o.Trace.Jobs = []Job{{At: at, Run: time.Hour, GPUs: 7}, {At: at, Run: time.Hour, GPUs: 1}, {At: at + time.Minute/2, Run: time.Hour, GPUs: 8}}
	want := []time.Duration{2 * time.Second, 5 * time.Second, 6*time.Minute + 3*time.Second}
	if diff := cmp.Diff(want, run(t, o).Waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

// TestAGateHidesTheWaitForGPUs: a placeholder that was created long before it is ungated buys its
// node in the next loop of Cluster Autoscaler (7 s in the laboratory), not after 30 s more.
// TestWhatCannotBeForeseenEndsTheRun: a model that fails is told, and not taken for one that expects nothing.
func TestWhatCannotBeForeseenEndsTheRun(t *testing.T) {
	o, broken := ramp(), errors.New("the model is broken")
	o.Expect = func(time.Duration, []float64) (capacity.Demand, error) { return capacity.Demand{}, broken }
	if got, err := Run(o); !errors.Is(err, broken) || len(got.Waits) > 0 {
		t.Errorf("%d waits, %v", len(got.Waits), err)
	}
}

func TestAGateHidesTheWaitForGPUs(t *testing.T) {
	o := ramp()
	o.Pool.Autoscaler, o.Trace.Jobs, o.Record = ClusterAutoscaler(), nil, true
	o.Limits.GateAge, o.Limits.LeadTime = 40*time.Second, 90*time.Second
	o.Expect = func(at time.Duration, _ []float64) (capacity.Demand, error) { // one GPU from 1:10 on, known from 1:08:30 on
		rise := capacity.ChunkDemand{Horizon: []time.Duration{2 * time.Minute}, Paths: [][]float64{{0}}}
		if at >= 68*time.Minute {
			rise.Paths = [][]float64{{1}}
		}
		return capacity.Demand{Chunks: []capacity.ChunkDemand{{}, rise}}, nil
	}
	for _, m := range run(t, o).Timeline {
		coming := m.Coming > 0 || m.Capacity > 0
		if want := m.At > 68*time.Minute; coming != want {
			t.Errorf("at %v a node is coming or there: %v, want %v", m.At, coming, want)
		}
	}
}

// TestWhatIsPaidForIsKept: with a minimum billing of an hour, what is no longer wanted stands for as long.
func TestWhatIsPaidForIsKept(t *testing.T) {
	o := ramp()
	o.Trace.Jobs, o.Record, o.From = nil, true, -2*time.Hour
	o.Pool.MinBilling, o.Limits.MinBilling = time.Hour, time.Hour
	wantedUntil := 65 * time.Minute
	o.Expect = func(at time.Duration, _ []float64) (capacity.Demand, error) {
		p := capacity.Policy{Kind: capacity.Reactive}
		if at < wantedUntil {
			p = capacity.Policy{Kind: capacity.Static, Headroom: 8}
		}
		return capacity.Demand{Chunks: []capacity.ChunkDemand{{Policy: capacity.Policy{Kind: capacity.Reactive}}, {Policy: p}}}, nil
	}
	for _, m := range run(t, o).Timeline {
		if m.At >= time.Hour && m.Warmed != 8 {
			t.Errorf("at %v %d GPUs are held, want the 8 that were wanted until %v", m.At, m.Warmed, wantedUntil)
		}
	}
}

// TestTimesBeforeTheTraceCount: a run may begin before it, with jobs that came earlier.
func TestTimesBeforeTheTraceCount(t *testing.T) {
	o := ramp()
	want := run(t, o)
	const earlier = 2 * time.Hour
	for i := range o.Trace.Jobs {
		o.Trace.Jobs[i].At -= earlier
	}
	o.From, o.Score, o.Until = o.From-earlier, o.Score-earlier, o.Until-earlier
	if diff := cmp.Diff(want, run(t, o)); diff != "" {
		t.Errorf("two hours earlier (-want +got):\n%s", diff)
	}
}

func TestStockOutAndInterruption(t *testing.T) {
	o := ramp()
	o.Trace.Jobs = []Job{{At: time.Hour + time.Minute, Run: time.Minute, GPUs: 1}}
	o.Pool.StockOuts = []Span{{time.Hour, time.Hour + 20*time.Minute}}
	if got := run(t, o).Waits[0]; got != 25*time.Minute {
		t.Errorf("waited %v, want until the nodes are back and the lead time", got)
	}
	o = ramp()
	o.Pool.InterruptionsPerHour = 4
	got := run(t, o)
	if got.Interrupted == 0 || got.Started+got.Waiting != 120 || got.Wait(0.95) <= 0 {
		t.Errorf("%d nodes lost, %d jobs started and %d wait; want some, and 120", got.Interrupted, got.Started, got.Waiting)
	}
	if diff := cmp.Diff(got, run(t, o)); diff != "" {
		t.Errorf("two runs with one seed differ:\n%s", diff)
	}
	o.Seed = 2
	if cmp.Equal(got, run(t, o)) {
		t.Error("two seeds give the same run")
	}
}

func TestConstantPool(t *testing.T) {
	o := ramp()
	o.Pool.MinNodes = 15
	got := run(t, o)
	if got.Wait(1) > 0 || got.GPUHours != 15*8 || got.Bought != 0 {
		t.Errorf("longest wait %v, %.1f GPU-hours, %d nodes bought; want 0, 120 and 0", got.Wait(1), got.GPUHours, got.Bought)
	}
}

// TestSeriesBecomesJobs: the trace of a series has its demand again.
func TestSeriesBecomesJobs(t *testing.T) {
	values := []float64{3, 5, math.NaN(), 4.2, 0, 7}
	trace := FromSeries(forecast.Series{Start: start, Step: 5 * time.Minute, Values: values}, 1)
	got := trace.Demand(Pool{NodeGPUs: 1, Chunks: []ChunkSize{{"unit", 1}}}, 5*time.Minute)[0].Highest.Values
	if diff := cmp.Diff([]float64{3, 5, 5, 5, 5, 7}, got); diff != "" { // a fall lasts through its step
		t.Errorf("highest demand within steps (-want +got):\n%s", diff)
	}
	for _, job := range trace.Jobs {
		if !job.Fixed || job.Run < 0 {
			t.Errorf("job %+v", job)
		}
	}
}

// TestProperties holds on random traces and pools: every job started, ended unserved or waits;
// hours add up; the oracle never waits; there are never more nodes than allowed.
func TestProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for i := range 60 {
		o := ramp()
		o.Seed = uint64(i)
		var jobs []Job
		for range 150 {
			jobs = append(jobs, Job{
				At: time.Duration(random.Int64N(int64(2 * time.Hour))), Run: time.Duration(1 + random.Int64N(int64(time.Hour))),
				GPUs: 1 + random.IntN(10), Fixed: random.IntN(4) == 0,
			})
		}
		o.Trace = NewTrace(start, 2*time.Hour, jobs)
		o.Pool.Spread, o.Pool.Lead.P95 = random.IntN(2) == 0, 9*time.Minute
		if random.IntN(2) == 0 {
			o.Pool.Autoscaler = ClusterAutoscaler()
		}
		oracle := run(t, Oracle(o))
		o.Pool.MaxNodes = 20 + random.IntN(60)
		o.Pool.InterruptionsPerHour = float64(random.IntN(2)) / 2
		always(&o, random.Int64N(20))
		got := run(t, o)
		scored := 0
		for _, job := range jobs {
			if job.At >= o.Score {
				scored++
			}
		}
		if got.Started+got.Never+got.Waiting != scored || len(got.Waits) != scored {
			t.Fatalf("run %d: %d started, %d ended, %d wait, %d waits; want %d in all", i, got.Started, got.Never, got.Waiting, len(got.Waits), scored)
		}
		if got.UsedGPUHours > got.GPUHours+1e-6 || got.UsedGPUHours > got.DemandGPUHours+1e-6 || got.ReadyGPUs > got.ArrivedGPUs {
			t.Fatalf("run %d: hours do not add up: %+v", i, got)
		}
		if got.MostNodes > max(o.Pool.MaxNodes, len(oracleless(o))) {
			t.Fatalf("run %d: %d nodes, at most %d allowed", i, got.MostNodes, o.Pool.MaxNodes)
		}
		if oracle.Wait(1) > 0 || oracle.HitRate() != 1 {
			t.Fatalf("run %d: the oracle waited %v, hit rate %v", i, oracle.Wait(1), oracle.HitRate())
		}
	}
}

// oracleless are the nodes that the jobs that run at the start fill, which no limit forbids.
func oracleless(o Options) []*node {
	w := &world{Options: o, now: o.From, demand: make([]float64, len(o.Pool.Chunks)), rooms: newRooms(o.Pool.NodeGPUs, nil), random: rand.New(rand.NewPCG(1, 1))}
	w.prime()
	return w.nodes
}

// TestUsedHoursAreThoseOfTheJobs: without limits, what was used is what ran.
func TestUsedHoursAreThoseOfTheJobs(t *testing.T) {
	o := ramp()
	o.Trace.Jobs = []Job{{At: time.Hour, Run: 30 * time.Minute, GPUs: 3}, {At: time.Hour + time.Minute, Run: time.Minute, GPUs: 8}}
	got := run(t, Oracle(o))
	if want := 1.5 + 8.0/60; math.Abs(got.UsedGPUHours-want) > 1e-9 || got.UsedGPUHours != got.DemandGPUHours {
		t.Errorf("%.4f GPU-hours used, %.4f asked for; want %.4f", got.UsedGPUHours, got.DemandGPUHours, want)
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"nodes without GPUs": func(o *Options) { o.Pool.NodeGPUs = 0 },
		"no scored time":     func(o *Options) { o.Until = o.Score },
		"no interval":        func(o *Options) { o.Record, o.Limits.Interval = true, 0 },
		"chunks differ":      func(o *Options) { always(o, 1); o.Pool.Chunks = nil },
	} {
		o := ramp()
		spoil(&o)
		if _, err := Run(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
