package main

import (
	"fmt"
	"strings"
	"time"

	"forewarm.dev/capacity"
	tells "forewarm.dev/capacity/status"
	"forewarm.dev/cmd/forewarmctl/output"
)

// planPage has what is wanted, what is done about it, and what waits.
func planPage(p *output.Page, plans []poolPlan) {
	wanted := output.NewRows("Pool", "Mode", "Chunk", "Wanted", "Stand", "Gated", "Why", "Limited by", "+Reserved", "+Pending", "+Free", "+Limited", "+Unapproved", "+Diverted")
	for _, plan := range plans {
		for _, c := range plan.Chunks {
			wanted.Add(output.Plain, plan.Pool, plan.Mode, c.Name, c.Wanted, c.Reserved+c.Pending, c.Gated, c.Why, names(c.LimitedBy),
				c.Reserved, c.Pending, c.Free, c.Limited, c.Unapproved, c.Diverted)
		}
	}
	p.Table(wanted, "No WarmPools. See manifests/samples for one to start from.")
	waiting := output.NewRows("Waits for approval", "Pool", "Nodes", "Cost per hour", "Chunks", "Expires", "Why")
	for _, plan := range plans {
		p.Line(output.Plain, "")
		plan.print(p)
		for _, w := range plan.Waiting {
			waiting.Add(output.Notable, w.Name, w.Pool, w.Nodes, w.CostPerHour, more(w), w.Expires.UTC().Format(time.RFC3339), w.Reason)
		}
	}
	if len(plans) > 0 {
		p.Line(output.Plain, "")
		p.Table(waiting, "Nothing waits for an approval.")
	}
}

// print says what one pool does, and lists its steps on a wide page.
func (plan poolPlan) print(p *output.Page) {
	if plan.Decision == "" {
		p.Line(output.Notable, "%s: no decision is kept that says which steps that asks for. Is the reserver running, and reserver.decisions.keep above 0?", plan.Pool)
		return
	}
	p.Line(output.Plain, "%s %s: %s, %s per hour while they idle (%s, decision %s)", plan.Pool, plan.does(), nodes(plan.Nodes), tells.Decimal(plan.CostPerHour),
		plan.At.UTC().Format(time.RFC3339), plan.Decision)
	if plan.UnapprovedNodes > 0 || plan.UnapprovedCostPerHour > 0 {
		p.Line(output.Notable, "%s more with an approval: %s, %s per hour", plan.Pool, nodes(plan.UnapprovedNodes), tells.Decimal(plan.UnapprovedCostPerHour))
	}
	if plan.Error != "" {
		p.Line(output.Bad, "%s failed: %s", plan.Pool, plan.Error)
	}
	if p.Wide {
		steps := output.NewRows("Step", "Chunk", "Placeholder", "Zone", "Why")
		for _, s := range plan.Steps {
			steps.Add(output.Plain, s.Action, s.Chunk, s.Placeholder, s.Zone, s.Why)
		}
		p.Table(steps, "")
	}
}

// does says in how many steps the plan is carried out.
func (plan poolPlan) does() string {
	counts := map[capacity.Action]int{}
	for _, s := range plan.Steps {
		counts[s.Action]++
	}
	var parts []string
	for _, action := range []struct {
		is         capacity.Action
		will, past string
	}{{capacity.Create, "create", "created"}, {capacity.Ungate, "ungate", "ungated"}, {capacity.Delete, "delete", "deleted"}} {
		verb := action.will
		if plan.Applied {
			verb = action.past
		}
		if n := counts[action.is]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", verb, n))
		}
	}
	switch {
	case len(parts) == 0:
		return "has nothing to change"
	case plan.Applied:
		return strings.Join(parts, ", ")
	default:
		return "would " + strings.Join(parts, ", ")
	}
}

func nodes(n int64) string {
	if n == 1 {
		return "1 node more"
	}
	return fmt.Sprintf("%d nodes more", n)
}

func names(reasons []capacity.Reason) string {
	var out []string
	for _, reason := range reasons {
		out = append(out, string(reason))
	}
	return strings.Join(out, ", ")
}

// more says how many more placeholders a CapacityPlan asks for.
func more(w waitingPlan) string {
	var parts []string
	for _, chunk := range w.Chunks {
		parts = append(parts, fmt.Sprintf("%s +%d", chunk.Name, chunk.More))
	}
	return strings.Join(parts, ", ")
}
