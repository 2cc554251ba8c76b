package reserver

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/room"
	"forewarm.dev/capacity/scorecard"
	"forewarm.dev/capacity/spec"
	tells "forewarm.dev/capacity/status"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/internal/tracing"
)

// report tells of one cycle in status, and of a change in one event and one log line.
func (r *Reserver) report(ctx context.Context, pool *v1alpha1.WarmPool, seen sight, plan capacity.Result, done outcome) {
	ctx, step := tracing.Step(ctx, "report")
	defer step.End()
	status := pool.Status.DeepCopy()
	status.ObservedGeneration = pool.Generation
	status.Nodes, status.Planned = readyNodes(seen.nodes), new(metav1.NewTime(seen.at.Truncate(time.Minute)))
	status.Chunks = nil
	for i, chunk := range plan.Chunks {
		row := tells.Chunk(tells.Seen{
			Plan: chunk, Demand: seen.demand.Chunks[i].Now, State: seen.state.Chunks[i],
			PerNode: seen.limits.Chunks[i].PerNode, Zones: seen.limits.Zones, Refused: seen.said.Of, Forecast: seen.forecasts[i], Policy: seen.policies[i], Price: seen.prices[i],
		})
		status.Chunks = append(status.Chunks, row)
		r.measure(pool.Name, row, seen.demand.Chunks[i].Now)
	}
	status.LeadTime = placeholder.LeadTimeStatus(seen.lead, seen.leadTimes)
	r.metrics.leadTime.WithLabelValues(pool.Name).Set(seen.lead.Used.Seconds())
	status.Idle = seen.idle
	status.Scorecard = scorecard.Status(pool, scorecard.Look{Peaks: seen.peaks, State: seen.state, Limits: seen.limits, Plan: plan}, seen.at)
	status.MaxNodes = tells.MaxNodes(seen.ceilings)
	setConditions(status, pool, seen)
	r.tellCeilings(status, pool, seen)
	r.tellSupply(status, pool, seen)
	is, reason, says := spec.Limited(plan)
	setter(status, pool)(v1alpha1.ConditionLimited, is, reason, says)
	if planned := planStatus(plan, done, pool.Spec.Mode, seen.at); planned != nil {
		status.LastPlan = planned
	}
	r.tell(pool, plan, done)
	r.writeStatus(ctx, pool, status)
}

func (r *Reserver) measure(pool string, row v1alpha1.ChunkStatus, demand float64) {
	r.metrics.demand.WithLabelValues(pool, row.Name).Set(demand)
	r.metrics.wanted.WithLabelValues(pool, row.Name).Set(float64(row.Wanted))
	r.metrics.takeovers.WithLabelValues(pool, row.Name) // counts from zero
	for state, n := range map[string]int32{"gated": row.Gated, "pending": row.Pending, "reserved": row.Reserved} {
		r.metrics.placeholders.WithLabelValues(pool, row.Name, state).Set(float64(n))
	}
}

// planStatus is nil for a plan without steps.
func planStatus(plan capacity.Result, done outcome, mode v1alpha1.Mode, now time.Time) *v1alpha1.PlanStatus {
	if len(plan.Steps) == 0 {
		return nil
	}
	planned := counts(plan)
	return &v1alpha1.PlanStatus{
		Time:   metav1.NewTime(now),
		Create: planned.created, Ungate: planned.ungated, Delete: planned.deleted,
		CostPerHour: tells.Decimal(plan.CostPerHour),
		Applied:     mode.Acts() && done.err == nil,
		Reason:      planReason(plan),
	}
}

func counts(plan capacity.Result) outcome {
	var n outcome
	for _, step := range plan.Steps {
		switch step.Action {
		case capacity.Create:
			n.created++
		case capacity.Ungate:
			n.ungated++
		case capacity.Delete:
			n.deleted++
		}
	}
	return n
}

// planReason lists what each chunk wants and why, as "single 12 ForecastDemand".
func planReason(plan capacity.Result) string {
	var parts []string
	for _, chunk := range plan.Chunks {
		parts = append(parts, fmt.Sprintf("%s %d %s", chunk.Name, chunk.Wanted, chunk.Reason))
	}
	return strings.Join(parts, ", ")
}

// tell emits one event and one log line for a plan that changed something or failed.
func (r *Reserver) tell(pool *v1alpha1.WarmPool, plan capacity.Result, done outcome) {
	if !pool.Spec.Mode.Acts() || len(plan.Steps) == 0 {
		return
	}
	if done.err != nil {
		r.log.Error(done.err, "Plan not applied whole", "pool", pool.Name, "created", done.created, "ungated", done.ungated, "deleted", done.deleted)
		r.options.Events.Eventf(pool, nil, corev1.EventTypeWarning, v1alpha1.ReasonPlanFailed, "Apply",
			"created %d, ungated %d, deleted %d, then failed: %v", done.created, done.ungated, done.deleted, done.err)
		return
	}
	r.log.Info("Plan applied", "pool", pool.Name, "created", done.created, "ungated", done.ungated, "deleted", done.deleted, "wanted", planReason(plan))
	r.options.Events.Eventf(pool, nil, corev1.EventTypeNormal, v1alpha1.ReasonPlanApplied, "Apply",
		"created %d, ungated %d, deleted %d placeholders; wanted: %s", done.created, done.ungated, done.deleted, planReason(plan))
}

// blindPatience is how long is tried to tell that nothing can be seen.
const blindPatience = 2 * time.Second

// tellBlind says in status of the pools that are due that they are held still, since the cluster cannot be seen.
func (r *Reserver) tellBlind(ctx context.Context, pools []*v1alpha1.WarmPool, err error, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, blindPatience)
	defer cancel()
	for _, pool := range pools {
		if r.anyDue([]*v1alpha1.WarmPool{pool}, now) {
			r.reportBroken(ctx, pool, err)
		}
	}
}

// reportBroken says in status why a pool is held still.
func (r *Reserver) reportBroken(ctx context.Context, pool *v1alpha1.WarmPool, err error) {
	status := pool.Status.DeepCopy()
	status.ObservedGeneration = pool.Generation
	setter(status, pool)(v1alpha1.ConditionReady, false, v1alpha1.ReasonHeldStill, err.Error())
	r.writeStatus(ctx, pool, status)
}

func (r *Reserver) writeStatus(ctx context.Context, pool *v1alpha1.WarmPool, status *v1alpha1.WarmPoolStatus) {
	if equality.Semantic.DeepEqual(&pool.Status, status) {
		return
	}
	before := pool.DeepCopy()
	pool.Status = *status
	if err := r.cached.Status().Patch(ctx, pool, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		r.metrics.errors.WithLabelValues("Report").Inc()
		r.log.Error(err, "Status not written", "pool", pool.Name)
	}
}

func setConditions(status *v1alpha1.WarmPoolStatus, pool *v1alpha1.WarmPool, seen sight) {
	set := setter(status, pool)
	v := seen.verdicts
	switch {
	case v.selectsNothing:
		set(v1alpha1.ConditionInfeasible, true, v1alpha1.ReasonSelectsNothing,
			"no node and no Karpenter NodePool match spec.nodes.selector: correct its labels (a node group of Cluster Autoscaler that is at zero nodes looks the same)")
	case len(v.tooLarge) > 0:
		set(v1alpha1.ConditionInfeasible, true, v1alpha1.ReasonChunkTooLarge,
			fmt.Sprintf("chunk %s fits none of the pool's %d nodes: lower its requests in spec.chunks, leaving room for DaemonSets", strings.Join(v.tooLarge, ", "), len(seen.nodes)))
	default:
		set(v1alpha1.ConditionInfeasible, false, v1alpha1.ReasonFeasible, "")
	}
	if v.conflictPool != "" {
		set(v1alpha1.ConditionConflict, true, v1alpha1.ReasonOverlap,
			fmt.Sprintf("node %s belongs to the older WarmPool %s: nothing changes here until spec.nodes.selector of one of them is narrowed", v.conflictNode, v.conflictPool))
	} else {
		set(v1alpha1.ConditionConflict, false, v1alpha1.ReasonNoOverlap, "")
	}
	if cold := coldChunks(pool, seen.forecasts); len(cold) > 0 {
		set(v1alpha1.ConditionForecasting, false, v1alpha1.ReasonColdStart, "too little history: "+strings.Join(cold, ", "))
	} else {
		set(v1alpha1.ConditionForecasting, true, v1alpha1.ReasonHistory, "")
	}
	if seen.unpriced != "" {
		set(v1alpha1.ConditionPricesUnreadable, true, v1alpha1.ReasonPriceSourceFailed, seen.unpriced+"; the last good prices count, else idleCostPerHour")
	} else {
		set(v1alpha1.ConditionPricesUnreadable, false, v1alpha1.ReasonPricesRead, "")
	}
	set(seen.coming.Condition())
	setReady(status, pool, seen, set)
}

func setReady(status *v1alpha1.WarmPoolStatus, pool *v1alpha1.WarmPool, seen sight, set func(string, bool, string, string)) {
	var waiting []string
	for _, row := range status.Chunks {
		if row.Reserved < row.Wanted {
			says := fmt.Sprintf("%s %d of %d", row.Name, row.Reserved, row.Wanted)
			if row.Infeasible > 0 {
				says += fmt.Sprintf(" (no node comes for %d)", row.Infeasible)
			}
			waiting = append(waiting, says)
		}
	}
	switch {
	case !pool.Spec.Mode.Acts():
		set(v1alpha1.ConditionReady, false, v1alpha1.ReasonObserving, "mode Observe changes nothing; set spec.mode to Approve or Enforce to act")
	case seen.proposed != nil:
		set(v1alpha1.ConditionReady, false, v1alpha1.ReasonWaitingForApproval, approvalMessage(seen.proposed))
	case len(waiting) > 0:
		says := "reserved: " + strings.Join(waiting, ", ")
		if why := seen.said.Why(); why != "" {
			says += ": " + why
		}
		set(v1alpha1.ConditionReady, false, v1alpha1.ReasonWaitingForNodes, says)
	default:
		set(v1alpha1.ConditionReady, true, v1alpha1.ReasonReserved, "")
	}
}

func approvalMessage(plan *v1alpha1.CapacityPlan) string {
	return fmt.Sprintf("CapacityPlan %s asks for %d nodes at %s per hour until %s: forewarmctl approve %s",
		plan.Name, plan.Spec.Nodes, plan.Spec.CostPerHour, plan.Spec.Expires.UTC().Format(time.RFC3339), plan.Name)
}

func coldChunks(pool *v1alpha1.WarmPool, forecasts []forecaster.Answer) []string {
	var cold []string
	for i, f := range forecasts {
		if f.Reason != forecast.ReasonEnoughHistory {
			cold = append(cold, fmt.Sprintf("%s %s", pool.Spec.Chunks[i].Name, f.Reason))
		}
	}
	return cold
}

// setter writes conditions into a pool's new status.
func setter(status *v1alpha1.WarmPoolStatus, pool *v1alpha1.WarmPool) func(name string, is bool, reason, message string) {
	return func(name string, is bool, reason, message string) {
		value := metav1.ConditionFalse
		if is {
			value = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: name, Status: value, Reason: reason, Message: message, ObservedGeneration: pool.Generation,
		})
	}
}

func readyNodes(nodes []*corev1.Node) int32 {
	var n int32
	for _, node := range nodes {
		if room.Usable(node) {
			n++
		}
	}
	return n
}
