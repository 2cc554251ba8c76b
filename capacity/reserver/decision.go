package reserver

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/capacity/replay"
	tells "forewarm.dev/capacity/status"
)

// longestText is what the API takes of a reason or an error.
const longestText = 1024

// decided keeps what was decided, and what it was decided from, before it is done. Where that fails
// nothing may be done.
func (r *Reserver) decided(ctx context.Context, pool *v1alpha1.WarmPool, seen sight, plan capacity.Result) (decisions.Decided, error) {
	record, err := replay.NewRecord(seen.input, plan)
	if err != nil {
		return decisions.Decided{}, r.unkept(pool, err)
	}
	d, err := r.options.Decisions.Decide(ctx, pool, decisionOf(pool, seen, plan), record)
	if err != nil {
		return d, r.unkept(pool, err)
	}
	return d, nil
}

// concluded notes what became of a decision, which holds nothing up.
func (r *Reserver) concluded(ctx context.Context, pool *v1alpha1.WarmPool, d decisions.Decided, done outcome) {
	failed := ""
	if done.err != nil {
		failed = cut(done.err.Error())
	}
	if err := r.options.Decisions.Conclude(ctx, d, failed); err != nil {
		_ = r.unkept(pool, err) // told
	}
}

func (r *Reserver) unkept(pool *v1alpha1.WarmPool, err error) error {
	r.metrics.errors.WithLabelValues("Keep").Inc()
	r.log.Error(err, "Decision not kept", "pool", pool.Name)
	return err
}

func decisionOf(pool *v1alpha1.WarmPool, seen sight, plan capacity.Result) v1alpha1.DecisionSpec {
	n := counts(plan)
	spec := v1alpha1.DecisionSpec{
		Pool: pool.Name, Mode: pool.Spec.Mode, At: metav1.NewMicroTime(seen.at),
		Create: n.created, Ungate: n.ungated, Delete: n.deleted,
		Reason: cut(planReason(plan)),
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
