package reserver

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/replay"
	tells "forewarm.dev/capacity/status"
)

// longestText is what the API takes of a reason or an error.
const longestText = 1024

// keep notes what was decided, and what it was decided from. A decision that cannot be kept holds
// nothing up.
func (r *Reserver) keep(ctx context.Context, pool *v1alpha1.WarmPool, seen sight, plan capacity.Result, done outcome) {
	record, err := replay.NewRecord(seen.input, plan)
	if err == nil {
		err = r.options.Decisions.Add(ctx, pool, decisionOf(pool, seen, plan, done), record)
	}
	if err != nil {
		r.metrics.errors.WithLabelValues("Keep").Inc()
		r.log.Error(err, "Decision not kept", "pool", pool.Name)
	}
}

func decisionOf(pool *v1alpha1.WarmPool, seen sight, plan capacity.Result, done outcome) v1alpha1.DecisionSpec {
	n := counts(plan)
	spec := v1alpha1.DecisionSpec{
		Pool: pool.Name, Mode: pool.Spec.Mode, At: metav1.NewMicroTime(seen.at),
		Create: n.created, Ungate: n.ungated, Delete: n.deleted,
		Applied: pool.Spec.Mode.Acts() && done.err == nil,
		Reason:  cut(planReason(plan)),
	}
	if done.err != nil {
		spec.Error = cut(done.err.Error())
	}
	for i, chunk := range plan.Chunks {
		row := v1alpha1.DecidedChunk{
			Name: chunk.Name, Demand: tells.Decimal(seen.demand.Chunks[i].Now), Level: tells.Decimal(chunk.Level),
			Source: string(seen.forecasts[i].Source), Version: seen.forecasts[i].Version, Policy: chooser.Status(seen.policies[i]).Kind,
			Wanted: int32(chunk.Wanted), Reason: string(chunk.Reason), Limited: int32(min(chunk.Limited, 1<<30)),
		}
		for _, by := range chunk.LimitedBy {
			row.LimitedBy = append(row.LimitedBy, string(by))
		}
		spec.Chunks = append(spec.Chunks, row)
	}
	return spec
}

func cut(text string) string { return text[:min(len(text), longestText)] }
