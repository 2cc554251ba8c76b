package replay

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
)

// drawn is an input of many kinds.
func drawn(random *rand.Rand) (capacity.Demand, capacity.State, capacity.Limits) {
	limits := capacity.Limits{
		LeadTime: time.Duration(random.IntN(20)) * time.Minute, Hold: 10 * time.Minute, Interval: time.Minute,
		GateAge: 40 * time.Second, MaxChanges: 20,
	}
	var demand capacity.Demand
	var state capacity.State
	for c := range 1 + random.IntN(3) {
		limits.Chunks = append(limits.Chunks, capacity.Chunk{
			Name: fmt.Sprint(c), Requests: quantity.Vector{"nvidia.com/gpu": int64(1 + c)}, WaitCostPerHour: 100 * random.Float64(),
			IdleCostPerHour: 1 + random.Float64(), Max: random.Int64N(40), PerNode: random.Int64N(9),
		})
		one := capacity.ChunkDemand{Now: 30 * random.Float64(), Policy: capacity.Policy{Margin: random.NormFloat64(), Headroom: float64(random.IntN(9))}}
		one.Policy.Kind = []capacity.PolicyKind{"", capacity.Forecast, capacity.Static, capacity.Reactive}[random.IntN(4)]
		if random.IntN(4) == 0 {
			one.Now = 0 // the work may have ended
		}
		for range random.IntN(3) {
			in := time.Duration(random.IntN(60)-30) * time.Minute
			one.Declared = append(one.Declared, capacity.Declared{In: in, Until: in + 20*time.Minute, Level: 50 * random.Float64()})
		}
		if random.IntN(3) == 0 {
			one.Known, one.Diverted = 20*random.Float64(), 5*random.Float64()
		}
		for h := range 12 {
			one.Horizon = append(one.Horizon, time.Duration(h+1)*time.Minute)
		}
		for range random.IntN(50) {
			path := make([]float64, 12)
			for h := range path {
				path[h] = 60 * random.Float64() / 7
			}
			one.Paths = append(one.Paths, path)
		}
		demand.Chunks = append(demand.Chunks, one)
		row := capacity.ChunkState{Free: random.Int64N(5), Room: random.Int64N(9), Kept: random.Int64N(9), Waiting: random.Int64N(3), Interrupted: random.Float64() * float64(random.IntN(3))}
		for p := range random.IntN(20) {
			row.Placeholders = append(row.Placeholders, capacity.Placeholder{
				Name: fmt.Sprintf("p-%d-%d", c, p), Stage: capacity.Stage(random.IntN(5)), Created: time.Unix(random.Int64N(1e9), random.Int64N(1e9)),
			})
		}
		state.Chunks = append(state.Chunks, row)
	}
	if random.IntN(2) == 0 {
		limits.NodesLeft, limits.IdleBudgetPerHour = new(random.Int64N(9)), new(30*random.Float64())
		limits.Approval = &capacity.Approval{Levels: make([]int64, len(limits.Chunks))}
	}
	if random.IntN(4) == 0 {
		limits.IdleBudgetLeft, limits.MinBilling = new(9*random.Float64()), time.Hour
	}
	limits.Supply = []capacity.BreakerState{"", capacity.Open, capacity.HalfOpen}[random.IntN(3)]
	state.Young = random.IntN(2) == 0
	return demand, state, limits
}

// TestReplayIsBitForBit, and a plan of what was kept is the plan of what was known.
func TestReplayIsBitForBit(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	now := time.Now()
	for range 1000 {
		demand, state, limits := drawn(random)
		input := NewInput(demand, state, limits, now)
		if diff := cmp.Diff(capacity.Plan(demand, state, limits, now), input.Plan()); diff != "" {
			t.Fatalf("the plan of all that was known (-) and of what is kept (+):\n%s", diff)
		}
		record, err := NewRecord(input, input.Plan())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := record.Replay(); err != nil || !got.Identical {
			t.Fatalf("%v, %v", err, cmp.Diff(got.Then, got.Now))
		}
	}
}

func TestReplayTellsWhatDiffers(t *testing.T) {
	demand, state, limits := drawn(rand.New(rand.NewPCG(1, 2)))
	input := NewInput(demand, state, limits, time.Unix(0, 0))
	record, err := NewRecord(input, input.Plan())
	if err != nil {
		t.Fatal(err)
	}
	forged := record
	forged.Result = []byte(strings.Replace(string(record.Result), `"Wanted":`, `"Wanted":1`, 1))
	if got, err := forged.Replay(); err != nil || got.Identical || cmp.Equal(got.Then, got.Now) {
		t.Errorf("a result that was changed: %+v, %v", got, err)
	}
	other := record
	other.Input = []byte(strings.Replace(string(record.Input), `"Now":`, `"Mood":"good","Now":`, 1))
	if _, err := other.Replay(); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("a field that nobody knows: %v", err)
	}
	if other.Digest() == record.Digest() || len(record.Digest()) != 64 {
		t.Errorf("digests %s and %s", record.Digest(), other.Digest())
	}
	input.Demand.Chunks[0].Now = math.NaN()
	if _, err := NewRecord(input, input.Plan()); err == nil {
		t.Error("NaN was written down")
	}
}
