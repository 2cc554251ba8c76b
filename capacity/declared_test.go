package capacity

import (
	"testing"
	"time"
)

// TestDeclaredDemandIsReadyWhenItStarts: 4 run, and the window is 7 minutes.
func TestDeclaredDemandIsReadyWhenItStarts(t *testing.T) {
	twelve := func(in, until time.Duration) []Declared { return []Declared{{In: in, Until: until, Level: 12}} }
	hour := time.Hour
	whole := single
	whole.PerNode, whole.WaitCostPerHour = 6, 0
	for name, c := range map[string]struct {
		chunk    Chunk
		policy   Policy
		declared []Declared
		free     int64
		want     int64
		reason   Reason
	}{
		"nothing":                      {single, Policy{Kind: Reactive}, nil, 0, 0, ReasonSteady},
		"later than a node takes":      {single, Policy{Kind: Reactive}, twelve(8*time.Minute, hour), 0, 0, ReasonSteady},
		"in time":                      {single, Policy{Kind: Reactive}, twelve(7*time.Minute, hour), 0, 8, ReasonDeclared},
		"while it lasts":               {single, Policy{Kind: Reactive}, twelve(-time.Minute, hour), 0, 8, ReasonDeclared},
		"over":                         {single, Policy{Kind: Reactive}, twelve(-hour, 0), 0, 0, ReasonSteady},
		"less what is free":            {single, Policy{Kind: Reactive}, twelve(0, hour), 3, 5, ReasonDeclared},
		"beside static headroom":       {single, Policy{Kind: Static, Headroom: 2}, twelve(0, hour), 0, 8, ReasonDeclared},
		"less than static headroom":    {single, Policy{Kind: Static, Headroom: 9}, twelve(0, hour), 0, 9, ReasonStatic},
		"beside the forecast":          {single, Policy{}, twelve(0, hour), 0, 8, ReasonDeclared},
		"the highest of two":           {single, Policy{}, append(twelve(0, hour), Declared{0, hour, 6}), 0, 8, ReasonDeclared},
		"never more than the maximum":  {single, Policy{}, []Declared{{0, hour, 400}}, 0, 16, ReasonMax},
		"nodes whole, whatever τ says": {whole, Policy{}, twelve(0, hour), 0, 12, ReasonDeclared},
	} {
		demand := Demand{[]ChunkDemand{{Now: 4, Policy: c.policy, Declared: c.declared}}}
		limits := limitsOf(c.chunk)
		got := Plan(demand, State{Chunks: []ChunkState{{Free: c.free}}}, limits, now).Chunks[0]
		if got.Wanted != c.want || got.Reason != c.reason {
			t.Errorf("%s: wanted %d, %s; want %d, %s", name, got.Wanted, got.Reason, c.want, c.reason)
		}
		if again := Plan(Condense(demand, limits), State{Chunks: []ChunkState{{Free: c.free}}}, limits, now).Chunks[0]; again.Wanted != c.want {
			t.Errorf("%s: wanted %d when it is replayed, want %d", name, again.Wanted, c.want)
		}
	}
}
