package capacity

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestIdleBudget: 12 singles at 3 and 3 nodes at 24 are wanted, 108 per hour.
func TestIdleBudget(t *testing.T) {
	dear := node
	dear.WaitCostPerHour = 4000
	for name, c := range map[string]struct {
		perHour, left *float64
		node          Chunk
		min           int64
		want          []int64
		by            [][]Reason
	}{
		"none":   {nil, nil, node, 0, []int64{4, 12}, [][]Reason{{ReasonMax}, nil}},
		"enough": {new(200.0), nil, node, 0, []int64{4, 12}, [][]Reason{{ReasonMax}, nil}},
		// The third node is worth 400 · 0.1 h · P(peak > 2) ÷ 24 = 1.67 · 11/13 = 1.41, the fifth single
		// 60 · 0.1 h · P(peak > 24) ÷ 3 = 2 · 9/13 = 1.38, the fourth 1.54.
		"the least valuable go":   {new(60.0), nil, node, 0, []int64{2, 4}, [][]Reason{{ReasonMax, ReasonIdleBudget}, {ReasonIdleBudget}}},
		"nodes are worth more":    {new(100.0), nil, dear, 0, []int64{4, 1}, [][]Reason{{ReasonMax}, {ReasonIdleBudget}}},
		"never below min":         {new(0.0), nil, node, 2, []int64{2, 2}, [][]Reason{{ReasonMax, ReasonIdleBudget}, {ReasonIdleBudget}}},
		"the day is spent":        {new(100.0), new(-1.0), node, 0, []int64{0, 0}, [][]Reason{{ReasonMax, ReasonIdleBudgetOfDay}, {ReasonIdleBudgetOfDay}}},
		"10 left for ten minutes": {nil, new(10.0), node, 0, []int64{2, 4}, [][]Reason{{ReasonMax, ReasonIdleBudgetOfDay}, {ReasonIdleBudgetOfDay}}},
	} {
		small := single
		c.node.Min, small.Min = c.min, c.min
		limits := limitsOf(c.node, small)
		limits.IdleBudgetPerHour, limits.IdleBudgetLeft = c.perHour, c.left
		plan := Plan(Demand{[]ChunkDemand{rising(0, 13), rising(20, 13)}}, State{Chunks: make([]ChunkState, 2)}, limits, now)
		var wanted []int64
		var by [][]Reason
		for _, chunk := range plan.Chunks {
			wanted, by = append(wanted, chunk.Wanted), append(by, chunk.LimitedBy)
		}
		if diff := cmp.Diff(c.want, wanted); diff != "" {
			t.Errorf("%s: wanted (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.by, by); diff != "" {
			t.Errorf("%s: limited by (-want +got):\n%s", name, diff)
		}
	}
}

// TestBudgetIsKept whatever the demand, and nothing is lost: wanted and limited are what would be
// wanted without.
func TestBudgetIsKept(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		demand := Demand{[]ChunkDemand{rising(random.Float64()*9, random.IntN(9)), rising(random.Float64()*50, random.IntN(40))}}
		limits := limitsOf(perNode(node, 1), perNode(single, 8))
		free := Plan(demand, State{Chunks: make([]ChunkState, 2)}, limits, now)
		budget := 200 * random.Float64()
		limits.IdleBudgetPerHour = &budget
		got := Plan(demand, State{Chunks: make([]ChunkState, 2)}, limits, now)
		cost := 0.0
		for i, chunk := range got.Chunks {
			cost += float64(chunk.Wanted) * limits.Chunks[i].IdleCostPerHour
			if sum := chunk.Wanted + chunk.Limited; sum != free.Chunks[i].Wanted+free.Chunks[i].Limited {
				t.Fatalf("%d wanted and %d limited, %d without a budget", chunk.Wanted, chunk.Limited, free.Chunks[i].Wanted)
			}
		}
		if cost > budget+1e-6 {
			t.Fatalf("costs %v of %v", cost, budget)
		}
		if got.Chunks[1].Wanted%8 != 0 {
			t.Fatalf("%d singles of 8 per node: a part of a node costs as much", got.Chunks[1].Wanted)
		}
	}
}

// TestBudgetCountsWhatIsHeld: what is not wanted any more and still stands is paid for too, goes first, and
// leaves so much less to ungate.
func TestBudgetCountsWhatIsHeld(t *testing.T) {
	calm := ChunkDemand{Horizon: []time.Duration{5 * time.Minute}, Paths: [][]float64{{0}}}
	for name, c := range map[string]struct {
		budget  float64
		deletes int
		ungates int
		costs   float64
		wants   int64
	}{
		"enough for both":             {132, 0, 12, 132, 12},
		"what is held goes first":     {100, 1, 9, 99, 9},
		"no more than is held":        {72, 1, 0, 72, 0},
		"less than stays for a while": {24, 1, 0, 72, 0},
	} {
		limits := limitsOf(node, single)
		limits.IdleBudgetPerHour = &c.budget
		state := State{Chunks: []ChunkState{{Kept: 4, Placeholders: held(4)}, {Placeholders: gated(12)}}}
		plan := Plan(Demand{[]ChunkDemand{calm, rising(20, 13)}}, state, limits, now)
		n := count(plan.Steps)
		if n[Delete] != c.deletes || n[Ungate] != c.ungates || plan.CostPerHour != c.costs || plan.Chunks[1].Wanted != c.wants {
			t.Errorf("%s: %d deleted, %d ungated for %v per hour, %d wanted; want %+v", name, n[Delete], n[Ungate], plan.CostPerHour, plan.Chunks[1].Wanted, c)
		}
		if asked := plan.Chunks[1].Wanted + plan.Chunks[1].Limited; asked != 12 {
			t.Errorf("%s: %d asked for, want 12 of which the budget takes some", name, asked)
		}
	}
}

// TestASpentDayGivesBackAtOnce what the hold time would keep.
func TestASpentDayGivesBackAtOnce(t *testing.T) {
	limits := limitsOf(single)
	state := State{Chunks: []ChunkState{{Kept: 12, Placeholders: held(12)}}}
	demand := Demand{[]ChunkDemand{rising(20, 13)}}
	if n := count(Plan(demand, state, limits, now).Steps)[Delete]; n != 0 {
		t.Errorf("%d given back without a budget", n)
	}
	limits.IdleBudgetLeft = new(0.0)
	if n := count(Plan(demand, state, limits, now.Add(time.Hour)).Steps)[Delete]; n != 3 {
		t.Errorf("%d given back, want a quarter", n)
	}
}
