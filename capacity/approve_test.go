package capacity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyWhatIsApprovedIsUngated(t *testing.T) {
	for name, c := range map[string]struct {
		approval     *Approval
		placeholders []Placeholder
		want         int64
		unapproved   int64
		steps        map[Action]int
	}{
		"no approval needed":            {nil, nil, 12, 0, map[Action]int{Create: 13, Ungate: 12}},
		"none approved: all stand":      {&Approval{Levels: []int64{0}}, nil, 0, 12, map[Action]int{Create: 13}},
		"they stand already":            {&Approval{Levels: []int64{0}}, gated(13), 0, 12, map[Action]int{}},
		"five approved":                 {&Approval{Levels: []int64{5}}, gated(13), 5, 7, map[Action]int{Ungate: 5}},
		"what stands is not given up":   {&Approval{Levels: []int64{0}}, append(held(3), gated(10)...), 3, 9, map[Action]int{}},
		"more approved than wanted":     {&Approval{Levels: []int64{50}}, gated(13), 12, 0, map[Action]int{Ungate: 12}},
		"cheap enough: 12 · 3":          {&Approval{AboveCostPerHour: new(36.0), Levels: []int64{0}}, gated(13), 12, 0, map[Action]int{Ungate: 12}},
		"too dear":                      {&Approval{AboveCostPerHour: new(35.0), Levels: []int64{0}}, gated(13), 0, 12, map[Action]int{}},
		"those on their way count":      {&Approval{AboveCostPerHour: new(35.0), Levels: []int64{0}}, append(inStage(Pending, 3), gated(10)...), 3, 9, map[Action]int{}},
		"those that hold room do not":   {&Approval{AboveCostPerHour: new(35.0), Levels: []int64{0}}, append(held(3), gated(10)...), 12, 0, map[Action]int{Ungate: 9}},
		"few enough nodes":              {&Approval{AboveNodes: new(int64(12)), Levels: []int64{0}}, gated(13), 12, 0, map[Action]int{Ungate: 12}},
		"too many nodes, four approved": {&Approval{AboveNodes: new(int64(11)), Levels: []int64{4}}, gated(13), 4, 8, map[Action]int{Ungate: 4}},
	} {
		limits := limitsOf(single)
		limits.Approval = c.approval
		got := Plan(Demand{[]ChunkDemand{rising(20, 13)}}, State{Chunks: []ChunkState{{Placeholders: c.placeholders}}}, limits, now)
		if plan := got.Chunks[0]; plan.Wanted != c.want || plan.Unapproved != c.unapproved || got.UnapprovedNodes != c.unapproved {
			t.Errorf("%s: wanted %d, unapproved %d for %d nodes; want %d and %d", name, plan.Wanted, plan.Unapproved, got.UnapprovedNodes, c.want, c.unapproved)
		}
		if got.CostPerHour != 3*float64(c.want) || got.UnapprovedCostPerHour != 3*float64(c.unapproved) {
			t.Errorf("%s: %v and %v per hour, want 3 for each of %d and %d", name, got.CostPerHour, got.UnapprovedCostPerHour, c.want, c.unapproved)
		}
		if diff := cmp.Diff(c.steps, count(got.Steps)); diff != "" {
			t.Errorf("%s: steps (-want +got):\n%s", name, diff)
		}
	}
}
