package spec

import (
	"fmt"
	"strings"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// limitFields are what an admin changes to lift a limit.
var limitFields = map[capacity.Reason]string{
	capacity.ReasonMax:             "spec.chunks[].max",
	capacity.ReasonMaxNodes:        "spec.sizing.maxNodes, or forewarm.dev/max-nodes on the WarmPool, on its NodePool or on kube-system",
	capacity.ReasonIdleBudget:      "spec.sizing.idleBudgetPerHour",
	capacity.ReasonIdleBudgetOfDay: "spec.sizing.idleBudgetPerDay",
	capacity.ReasonStockOut:        "the nodes that the pool gets; status.supply says where it turns to",
	capacity.ReasonRefused:         "autoscalers, which refuse nodes for those that wait; status.chunks[].message says why",
	capacity.ReasonUnapproved:      "the approval of a CapacityPlan",
}

// Limited says, per chunk, how many of those that would be wanted are, and what lifts the limits: what
// condition Limited says.
func Limited(plan capacity.Result) (is bool, reason, message string) {
	var parts []string
	for _, chunk := range plan.Chunks {
		if chunk.Limited == 0 {
			continue
		}
		var fields []string
		for _, by := range chunk.LimitedBy {
			fields = append(fields, limitFields[by])
		}
		if reason == "" {
			reason = string(chunk.LimitedBy[0])
		}
		parts = append(parts, fmt.Sprintf("%s %d of %d, limited by %s", chunk.Name, chunk.Wanted, chunk.Wanted+chunk.Limited, strings.Join(fields, "; ")))
	}
	if len(parts) == 0 {
		return false, v1alpha1.ReasonWithinLimits, ""
	}
	return true, reason, strings.Join(parts, ", ")
}
