package capacity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/internal/quantity"
)

// TestBreaker runs through a stock-out: a node takes three minutes at most.
func TestBreaker(t *testing.T) {
	const patience = 3 * time.Minute
	start := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	at := func(minutes float64) time.Time {
		if minutes == 0 {
			return time.Time{}
		}
		return start.Add(time.Duration(minutes * float64(time.Minute)))
	}
	var b Breaker
	for _, look := range []struct {
		at, asked, came float64 // minutes; zero for never
		want            string  // state, trips
	}{
		{4, 1, 0, " 0"},           // as long as it takes
		{4.1, 1, 2, " 0"},         // another node has come meanwhile
		{5.1, 1, 2, "Open 1"},     // and no other since
		{8, 0, 2, "Open 1"},       // the backoff is not over
		{8.2, 0, 2, "HalfOpen 1"}, // one is tried
		{11, 9, 2, "HalfOpen 1"},
		{12.1, 9, 2, "Open 2"}, // in vain
		{15.2, 0, 2, "Open 2"}, // twice as long
		{18.2, 0, 2, "HalfOpen 2"},
		{30, 0, 2, "HalfOpen 2"}, // nothing is wanted
		{40, 39, 39.5, " 2"},     // it came
		{50, 46, 39.5, "Open 3"}, // not for long
		{51, 0, 50.5, " 3"},      // somebody else's came
		{110, 0, 50.5, " 3"},
		{111.5, 0, 50.5, " 0"}, // an hour without
	} {
		b = b.Next(Supply{Asked: at(look.asked), Came: at(look.came), Patience: patience}, at(look.at))
		if got := fmt.Sprintf("%s %d", b.State, b.Trips); got != look.want {
			t.Errorf("after %v minutes: %q, want %q", look.at, got, look.want)
		}
	}
	for trips, want := range map[int]time.Duration{1: 3 * time.Minute, 2: 6 * time.Minute, 4: 24 * time.Minute, 5: 30 * time.Minute, 1000: 30 * time.Minute} {
		if got := (Breaker{Open, start, trips}).RetryAt(patience).Sub(start); got != want {
			t.Errorf("after %d trips it tries again in %s, want %s", trips, got, want)
		}
	}
}

// TestAPoolWithoutNodesAsksForNone: eight are wanted, of which two are reserved and there is room for one.
func TestAPoolWithoutNodesAsksForNone(t *testing.T) {
	chunk := single
	chunk.Min, chunk.PerNode = 8, 2
	state := State{Chunks: []ChunkState{{Room: 1, Placeholders: []Placeholder{
		{Name: "r-1", Stage: Reserved, Node: "n"},
		{Name: "r-2", Stage: Reserved, Node: "n"},
		{Name: "w-1", Stage: Pending},
		{Name: "w-2", Stage: Pending},
		{Name: "w-3", Stage: Pending},
		{Name: "w-4", Stage: Pending},
		{Name: "w-5", Stage: Pending},
	}}}}
	for supply, want := range map[BreakerState]struct {
		wanted, diverted, limited, nodes int64
		deleted                          string
	}{
		Closed:   {8, 0, 0, 5, ""},
		Open:     {3, 5, 5, 0, "w-1 w-2 w-3 w-4"},
		HalfOpen: {5, 5, 3, 2, "w-1 w-2"},
	} {
		limits := limitsOf(chunk)
		limits.Supply = supply
		got := Plan(Demand{[]ChunkDemand{{}}}, state, limits, now)
		var deleted []string
		for _, step := range got.Steps {
			if step.Action == Delete {
				deleted = append(deleted, step.Pod)
				if step.Reason != ReasonStockOut {
					t.Errorf("%s: %s is deleted for %s", supply, step.Pod, step.Reason)
				}
			}
		}
		c := got.Chunks[0]
		if c.Wanted != want.wanted || c.Diverted != want.diverted || c.Limited != want.limited || got.Nodes != want.nodes || strings.Join(deleted, " ") != want.deleted {
			t.Errorf("%q: %+v, %d nodes, deleted %v; want %+v", supply, c, got.Nodes, deleted, want)
		}
	}
}

func TestWhatIsDivertedIsAskedForWhateverThePolicy(t *testing.T) {
	for name, c := range map[string]struct {
		demand ChunkDemand
		state  ChunkState
		want   int64
	}{
		"reactive":           {ChunkDemand{Diverted: 2.5, Policy: Policy{Kind: Reactive}}, ChunkState{}, 3},
		"beside its own":     {ChunkDemand{Diverted: 2.5, Policy: Policy{Kind: Static, Headroom: 4}}, ChunkState{}, 7},
		"less what is free":  {ChunkDemand{Diverted: 2.5, Policy: Policy{Kind: Reactive}}, ChunkState{Free: 1}, 2},
		"up to the maximum":  {ChunkDemand{Diverted: 99}, ChunkState{}, single.Max},
		"beside interrupted": {ChunkDemand{Diverted: 2, Policy: Policy{Kind: Reactive}}, ChunkState{Interrupted: 1}, 3},
	} {
		got := Plan(Demand{[]ChunkDemand{c.demand}}, State{Chunks: []ChunkState{c.state}}, limitsOf(single), now).Chunks[0]
		if got.Wanted != c.want {
			t.Errorf("%s: %+v, want %d", name, got, c.want)
		}
	}
}

func TestDivertConvertsChunks(t *testing.T) {
	of := func(name string, gpus, cpu, most int64) Chunk {
		return Chunk{Name: name, Requests: quantity.Vector{gpu: gpus, "cpu": cpu}, Max: most}
	}
	a10 := Fallback{"a10", gpu, []Chunk{of("one", 1, 4000, 20), of("four", 4, 16000, 3)}}
	l4 := Fallback{"l4", gpu, []Chunk{of("two", 2, 30000, 100)}}
	amd := Fallback{"mi300", "amd.com/gpu", []Chunk{{Name: "one", Requests: quantity.Vector{"amd.com/gpu": 1}, Max: 100}}}
	for name, c := range map[string]struct {
		missing   []Shortage
		fallbacks []Fallback
		want      []Diversion
	}{
		"nothing":                     {nil, []Fallback{a10}, nil},
		"the same shape":              {[]Shortage{{of("single", 1, 4000, 9), 3}}, []Fallback{a10}, []Diversion{{"single", 3, "a10", "one", 3}}},
		"another resource":            {[]Shortage{{of("single", 1, 4000, 9), 3}}, []Fallback{amd, a10}, []Diversion{{"single", 3, "a10", "one", 3}}},
		"by what is scarcer":          {[]Shortage{{of("single", 1, 11000, 9), 3}}, []Fallback{a10}, []Diversion{{"single", 3, "a10", "one", 9}}},
		"smaller than each":           {[]Shortage{{of("single", 1, 1000, 9), 3}}, []Fallback{l4}, []Diversion{{"single", 3, "l4", "two", 2}}},
		"what exceeds goes further":   {[]Shortage{{of("node", 8, 8000, 9), 4}}, []Fallback{a10, l4}, []Diversion{{"node", 1, "a10", "four", 2}, {"node", 3, "l4", "two", 12}}},
		"no more than all of them":    {[]Shortage{{of("node", 8, 8000, 9), 4}}, []Fallback{a10}, []Diversion{{"node", 1, "a10", "four", 2}}},
		"two share the same fallback": {[]Shortage{{of("a", 1, 0, 9), 15}, {of("b", 1, 0, 9), 15}}, []Fallback{a10}, []Diversion{{"a", 15, "a10", "one", 15}, {"b", 5, "a10", "one", 5}}},
	} {
		if diff := cmp.Diff(c.want, Divert(c.missing, gpu, c.fallbacks)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
