package capacity

import (
	"fmt"
	"testing"
	"time"
)

func perNode(c Chunk, n int64) Chunk { c.PerNode = n; c.Max = 100; return c }

func inStage(stage Stage, n int) []Placeholder {
	placeholders := held(n)
	for i := range placeholders {
		placeholders[i].Stage, placeholders[i].Name = stage, fmt.Sprintf("%d-%03d", stage, i)
	}
	return placeholders
}

// TestNodesAreBoughtWhole: a node is bought when all of its chunks together are worth it, and then
// filled; what stands on a node already costs no more for standing there.
func TestNodesAreBoughtWhole(t *testing.T) {
	thirteen, seldom := rising(20, 13), rising(20, 10)
	for _, path := range seldom.Paths[1:] {
		path[0] = 20 // one in ten rises by one
	}
	for name, c := range map[string]struct {
		demand ChunkDemand
		state  ChunkState
		want   int64
	}{
		"12 wanted, 2 nodes of 8: the second is worth it": {thirteen, ChunkState{}, 16},
		"free room for 5, 7 wanted, one node":             {thirteen, ChunkState{Free: 5, Room: 5}, 8},
		"1 wanted is worth no node of 8":                  {seldom, ChunkState{}, 0},
		"but they keep one that is there":                 {seldom, ChunkState{Placeholders: inStage(Reserved, 8)}, 8},
		"or that is coming":                               {seldom, ChunkState{Placeholders: inStage(Pending, 8)}, 8},
		"or empty":                                        {seldom, ChunkState{Room: 8}, 8},
		"of three nodes, two are enough":                  {thirteen, ChunkState{Placeholders: inStage(Reserved, 24)}, 16},
	} {
		got := Plan(Demand{[]ChunkDemand{c.demand}}, State{Chunks: []ChunkState{c.state}}, limitsOf(perNode(single, 8)), now).Chunks[0]
		if got.Wanted != c.want {
			t.Errorf("%s: wanted %d, want %d", name, got.Wanted, c.want)
		}
	}
}

// TestWholeNodeIsTheCheapestNumber compares with the expected cost of every number.
func TestWholeNodeIsTheCheapestNumber(t *testing.T) {
	for n := 1; n < 60; n++ {
		for _, k := range []int64{2, 4, 8} {
			demand, chunk := rising(20, n), perNode(single, k)
			limits := limitsOf(chunk)
			got := Plan(Demand{[]ChunkDemand{demand}}, State{Chunks: []ChunkState{{}}}, limits, now).Chunks[0].Wanted
			cost := func(nodes int64) float64 {
				total := 0.0
				for rise := 1; rise <= n; rise++ {
					missing := int64(rise) - nodes*k
					total += chunk.WaitCostPerHour*limits.LeadTime.Hours()*float64(max(missing, 0)) +
						chunk.IdleCostPerHour*limits.Hold.Hours()*float64(max(-missing, 0))
				}
				return total
			}
			best := int64(0)
			for nodes := range int64(60) {
				if cost(nodes) < cost(best)-1e-9 {
					best = nodes
				}
			}
			if got != best*k {
				t.Errorf("peaks 21..%d, %d per node: wanted %d, the cheapest is %d nodes", 20+n, k, got, best)
			}
		}
	}
}

// TestBoughtForIsNotBoughtTwice: pods that wait take the nodes on their way, so placeholders that
// wait for these go at once, and those that hold room do not.
func TestBoughtForIsNotBoughtTwice(t *testing.T) {
	demand := ChunkDemand{Now: 25} // 5 of them wait
	state := ChunkState{Waiting: 5, Kept: 9, Placeholders: append(inStage(Pending, 6), inStage(Reserved, 3)...)}
	plan := Plan(Demand{[]ChunkDemand{demand}}, State{Chunks: []ChunkState{state}}, limitsOf(single), now)
	bought := 0
	for _, step := range plan.Steps {
		if step.Action == Delete {
			bought++
			if step.Reason != ReasonBought || step.Pod[0] != '1' {
				t.Errorf("%+v, want pending placeholders only, as %s", step, ReasonBought)
			}
		}
	}
	if bought != 5 {
		t.Errorf("%d placeholders deleted, want as many as pods wait", bought)
	}
	state.Waiting = 0
	if n := count(Plan(Demand{[]ChunkDemand{demand}}, State{Chunks: []ChunkState{state}}, limitsOf(single), now).Steps)[Delete]; n != 0 {
		t.Errorf("%d deleted though nothing waits and all were wanted within the hold time", n)
	}
}

func TestPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		policy     Policy
		free       int64
		want       int64
		wantReason Reason
	}{
		"the zero policy is the forecast": {Policy{}, 0, 12, ReasonForecast},
		"nothing ahead":                   {Policy{Kind: Reactive}, 0, 0, ReasonSteady},
		"headroom":                        {Policy{Kind: Static, Headroom: 4}, 0, 4, ReasonStatic},
		"headroom less free room":         {Policy{Kind: Static, Headroom: 4}, 3, 1, ReasonStatic},
		"a tenth of 20":                   {Policy{Kind: Static, Share: 0.1}, 0, 2, ReasonStatic},
		// P90 − P50 of peaks 21 … 33 is 32 − 27, so the spread is 6.
		"headroom up to 23 of 20 and 4":   {Policy{Kind: Static, Headroom: 4, Most: 23}, 0, 3, ReasonStatic},
		"a level of 30":                   {Policy{Kind: Static, Headroom: 30, Most: 30}, 0, 10, ReasonStatic},
		"demand beyond the bound":         {Policy{Kind: Static, Headroom: 4, Most: 18}, 0, 0, ReasonSteady},
		"a forecast up to 27":             {Policy{Most: 27}, 0, 7, ReasonForecast},
		"a margin up to 27":               {Policy{Margin: 1, Most: 27}, 0, 7, ReasonForecast},
		"a forecast beyond the bound":     {Policy{Most: 18}, 0, 0, ReasonSteady},
		"a margin of a sixth of a spread": {Policy{Margin: 0.5 / 3}, 0, 13, ReasonForecast},
		"a negative margin":               {Policy{Margin: -1}, 0, 6, ReasonForecast},
		"a margin below all":              {Policy{Margin: -9}, 0, 0, ReasonSteady},
	} {
		demand := rising(20, 13)
		demand.Policy = c.policy
		got := Plan(Demand{[]ChunkDemand{demand}}, State{Chunks: []ChunkState{{Free: c.free}}}, limitsOf(single), now).Chunks[0]
		if got.Wanted != c.want || got.Reason != c.wantReason {
			t.Errorf("%s: %d, %s; want %d, %s", name, got.Wanted, got.Reason, c.want, c.wantReason)
		}
	}
}

// TestMinimumBillingIsHeld: a node that is paid for an hour makes idling dearer.
func TestMinimumBillingIsHeld(t *testing.T) {
	limits := limitsOf(single)
	limits.MinBilling = time.Hour
	got := Plan(Demand{[]ChunkDemand{rising(20, 13)}}, State{Chunks: []ChunkState{{}}}, limits, now).Chunks[0]
	if want := 6.0 / 9; got.Tau != want || got.Wanted != 9 {
		t.Errorf("tau %v, wanted %d; want %v and 9", got.Tau, got.Wanted, want)
	}
}
