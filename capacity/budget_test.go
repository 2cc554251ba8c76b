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
