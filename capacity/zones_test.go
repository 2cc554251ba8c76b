package capacity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// inZones makes placeholders of a stage in zones of one letter each.
func inZones(stage Stage, zones string) []Placeholder {
	var out []Placeholder
	for i, zone := range zones {
		out = append(out, Placeholder{Name: fmt.Sprintf("%s-%d-%d", string(zone), stage, i), Stage: stage, Zone: string(zone), Created: now})
	}
	return out
}

// spreadOver are limits of one chunk over the zones a, b and c.
func spreadOver(least int64, chunk Chunk, edit ...func(*Limits)) Limits {
	limits := limitsOf(chunk)
	limits.SpreadOver([]string{"a", "b", "c"}, least)
	for _, e := range edit {
		e(&limits)
	}
	return limits
}

func left(n int64) func(*Limits) { return func(l *Limits) { l.NodesLeft = &n } }

func brief(steps []Step) string {
	var out []string
	for _, s := range steps {
		switch {
		case s.Action == Ungate:
			out = append(out, "ungate:"+s.Zone)
		case s.Action == Delete:
			out = append(out, "delete:"+s.Pod)
		case s.Reason != ReasonSpare:
			out = append(out, "create")
		}
	}
	return strings.Join(out, " ")
}

func TestZonesHaveTheirMinimum(t *testing.T) {
	three := single
	three.Max = 3
	budget := func(l *Limits) { l.IdleBudgetPerHour = new(9.0) }
	stockOut := func(l *Limits) { l.Supply = Open }
	expiring := inZones(Reserved, "abc")
	expiring[2].Expires = now.Add(time.Minute)
	ready := func(zones string) []Placeholder { return append(inZones(Reserved, zones), gated(2)...) }
	for name, c := range map[string]struct {
		demand       ChunkDemand
		placeholders []Placeholder
		room         []int64
		limits       Limits
		wanted       int64
		limited      int64
		by           []Reason
		nodes        int64
		steps        string
	}{
		"nobody asks for anything":            {limits: spreadOver(1, single), placeholders: gated(4), wanted: 3, nodes: 3, steps: "ungate:a ungate:b ungate:c"},
		"what is expected goes anywhere":      {demand: rising(0, 4), limits: spreadOver(1, single), placeholders: gated(5), wanted: 4, nodes: 4, steps: "ungate:a ungate:b ungate:c ungate:"},
		"no minimum":                          {demand: rising(0, 2), limits: spreadOver(0, single), placeholders: gated(3), wanted: 2, nodes: 2, steps: "ungate: ungate:"},
		"a zone is short, others have more":   {limits: spreadOver(1, single), placeholders: ready("aab"), wanted: 4, nodes: 1, steps: "ungate:c"},
		"as many as nodes are left":           {limits: spreadOver(2, single, left(2)), placeholders: ready("aaab"), wanted: 6, limited: 1, by: []Reason{ReasonMaxNodes}, nodes: 2, steps: "ungate:b ungate:c"},
		"one is on its way":                   {limits: spreadOver(1, single), placeholders: append(ready("aab"), inZones(Pending, "c")...), wanted: 3, nodes: 1, steps: "delete:a-2-0"},
		"max":                                 {limits: spreadOver(1, three), placeholders: inZones(Reserved, "aab"), wanted: 3, limited: 1, by: []Reason{ReasonMax}},
		"no node left, room elsewhere":        {limits: spreadOver(1, single, left(0)), placeholders: ready("aab"), room: []int64{5, 0, 0}, wanted: 3, limited: 1, by: []Reason{ReasonMaxNodes}},
		"no node left, room in the zone":      {limits: spreadOver(1, single, left(0)), placeholders: ready("aab"), room: []int64{0, 0, 1}, wanted: 4, steps: "ungate:c"},
		"no node left, wanted in any case":    {demand: rising(0, 4), limits: spreadOver(1, single, left(0)), placeholders: ready("aab"), room: []int64{5, 0, 0}, wanted: 4, steps: "ungate:"},
		"room elsewhere saves no node":        {limits: spreadOver(1, single), placeholders: ready("aab"), room: []int64{5, 0, 0}, wanted: 4, nodes: 1, steps: "ungate:c"},
		"idle budget":                         {limits: spreadOver(1, single, budget), placeholders: ready("aab"), wanted: 3, limited: 1, by: []Reason{ReasonIdleBudget}},
		"the zone has no nodes":               {limits: spreadOver(1, single), placeholders: append(ready("ab"), inZones(Overdue, "c")...), wanted: 3, nodes: 2, steps: "ungate:"},
		"one that came late":                  {limits: spreadOver(1, single), placeholders: append(ready("aab"), inZones(Reserved, "c")...), wanted: 3, steps: "delete:a-2-0"},
		"the zone is not the pool's any more": {limits: spreadOver(1, single), placeholders: append(ready("abc"), inZones(Overdue, "d")...), wanted: 3, nodes: 1, steps: "delete:d-5-0"},
		"the pool gets no nodes":              {limits: spreadOver(1, single, stockOut), placeholders: append(ready("ab"), inZones(Overdue, "c")...), wanted: 2, limited: 1, by: []Reason{ReasonStockOut}, nodes: 1, steps: "delete:c-5-0"},
		"one is replaced where it was":        {limits: spreadOver(1, single), placeholders: append(expiring, gated(2)...), wanted: 3, steps: "delete:c-2-2 ungate:c"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.room == nil {
				c.room = []int64{0, 0, 0}
			}
			state := ChunkState{Placeholders: c.placeholders, ZoneRoom: c.room, Room: c.room[0] + c.room[1] + c.room[2]}
			got := Plan(Demand{[]ChunkDemand{c.demand}}, State{Chunks: []ChunkState{state}}, c.limits, now)
			if p := got.Chunks[0]; p.Wanted != c.wanted || p.Limited != c.limited || !slices.Equal(p.LimitedBy, c.by) || got.Nodes != c.nodes {
				t.Errorf("%d wanted, %d limited by %v, %d nodes; want %d, %d by %v, %d", p.Wanted, p.Limited, p.LimitedBy, got.Nodes, c.wanted, c.limited, c.by, c.nodes)
			}
			if diff := cmp.Diff(c.steps, brief(got.Steps)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestZonesComeToTheirMinimum: whatever there was, after some plans every zone has its minimum, whose
// placeholders are never given back, and no plan passes max or the nodes that are left.
func TestZonesComeToTheirMinimum(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 500 {
		chunk := single
		least := 1 + random.Int64N(3)
		chunk.Max = 3*least + 1 + random.Int64N(10)
		limits := spreadOver(least, chunk)
		demand := Demand{[]ChunkDemand{rising(0, random.IntN(int(chunk.Max)))}} // as much as max may be anywhere
		var placeholders []Placeholder
		for range random.Int64N(chunk.Max) {
			placeholders = append(placeholders, inZones(Reserved, string("abc"[random.IntN(3)]))...)
			placeholders[len(placeholders)-1].Name = fmt.Sprintf("p-%03d", len(placeholders))
		}
		for range 60 {
			nodes := random.Int64N(4)
			limits.NodesLeft = &nodes
			state := ChunkState{Placeholders: placeholders, ZoneRoom: []int64{0, 0, 0}}
			plan := Plan(demand, State{Chunks: []ChunkState{state}}, limits, now)
			before := slices.Clone(placeholders)
			placeholders = land(t, placeholders, plan.Steps, random)
			for _, zone := range limits.Zones {
				was, is := (ChunkState{Placeholders: before}).in(zone), (ChunkState{Placeholders: placeholders}).in(zone)
				if is < was && is < least {
					t.Fatalf("round %d: zone %s goes from %d to %d, want at least %d kept", round, zone, was, is, least)
				}
			}
			if n := int64(len(placeholders)); n > chunk.Max || plan.Nodes > nodes {
				t.Fatalf("round %d: %d placeholders, at most %d; %d nodes asked for, at most %d", round, n, chunk.Max, plan.Nodes, nodes)
			}
		}
		for _, zone := range limits.Zones {
			if n := (ChunkState{Placeholders: placeholders}).in(zone); n < least {
				t.Fatalf("round %d: zone %s has %d in the end, want %d", round, zone, n, least)
			}
		}
	}
}

// land takes steps; what is ungated runs at once, where it is sent to or anywhere.
func land(t *testing.T, placeholders []Placeholder, steps []Step, random *rand.Rand) []Placeholder {
	t.Helper()
	zones := map[string]string{}
	for _, p := range placeholders {
		zones[p.Name] = p.Zone
	}
	var sent []string
	for _, s := range steps {
		if s.Action == Ungate {
			sent = append(sent, s.Zone)
		}
	}
	after := take(t, placeholders, steps)
	slices.SortFunc(after, func(a, b Placeholder) int { return strings.Compare(a.Name, b.Name) })
	for i := range after {
		p := &after[i]
		switch p.Zone = zones[p.Name]; {
		case p.Stage != Pending:
		case sent[0] == "":
			p.Zone, sent = string("abc"[random.IntN(3)]), sent[1:]
			p.Stage = Reserved
		default:
			p.Zone, sent = sent[0], sent[1:]
			p.Stage = Reserved
		}
		if strings.HasPrefix(p.Name, "new-") {
			p.Name = fmt.Sprintf("old-%d", random.Uint64())
		}
	}
	return after
}
