package reserver

import (
	"math"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/policy"
	"forewarm.dev/forecast"
)

// modelOf answers about the past as the pool's forecasts were made; nil is Auto.
func modelOf(pool *v1alpha1.WarmPool) forecast.Model {
	if forecast.Source(pool.Spec.Forecast.Model) == forecast.SourceCombined {
		return forecast.Combined{}
	}
	return nil
}

// policyOf is what status remembers of a chunk's policy, so that it survives the leader.
func policyOf(pool *v1alpha1.WarmPool, chunk string) chooser.Answer {
	for _, row := range pool.Status.Chunks {
		if row.Name != chunk || row.Policy == nil {
			continue
		}
		p := row.Policy
		answer := chooser.Answer{At: timeOf(p.Chosen), Choice: policy.Choice{
			Reason: policy.Reason(p.Reason), Policy: policyIn(p.Kind, p.Headroom, p.Share, p.Margin),
			Tried: map[capacity.PolicyKind]policy.Tried{},
		}}
		for _, t := range p.Tried {
			answer.Tried[capacity.PolicyKind(t.Kind)] = policy.Tried{
				Policy: policyIn(t.Kind, t.Headroom, t.Share, t.Margin),
				Score:  policy.Score{Cost: number(t.CostPerHour), HitRate: number(t.HitRate), Idle: number(t.Idle)},
			}
		}
		return answer
	}
	return chooser.Answer{}
}

func policyIn(kind, headroom, share, margin string) capacity.Policy {
	return capacity.Policy{Kind: capacity.PolicyKind(kind), Headroom: number(headroom), Share: number(share), Margin: number(margin)}
}

// policyStatus tells which policy, why, and what each would have done, the cheapest first.
func policyStatus(answer chooser.Answer) *v1alpha1.PolicyStatus {
	p := answer.Policy
	if p.Kind == "" {
		p.Kind = capacity.Forecast
	}
	status := &v1alpha1.PolicyStatus{
		Kind: string(p.Kind), Reason: string(answer.Reason),
		Headroom: exact(p.Headroom), Share: exact(p.Share), Margin: exact(p.Margin),
	}
	if !answer.At.IsZero() {
		status.Chosen = &metav1.Time{Time: answer.At}
	}
	for _, kind := range []capacity.PolicyKind{capacity.Forecast, capacity.Static, capacity.Reactive} {
		t, ok := answer.Tried[kind]
		if !ok {
			continue
		}
		status.Tried = append(status.Tried, v1alpha1.PolicyTried{
			Kind: string(kind), Headroom: exact(t.Policy.Headroom), Share: exact(t.Policy.Share), Margin: exact(t.Policy.Margin),
			CostPerHour: rounded(t.Cost), HitRate: rounded(t.HitRate), Idle: rounded(t.Idle),
		})
	}
	slices.SortStableFunc(status.Tried, func(a, b v1alpha1.PolicyTried) int {
		return int(math.Copysign(1, number(a.CostPerHour)-number(b.CostPerHour)))
	})
	return status
}

// exact is a number that reads back as the same one, empty for zero.
func exact(value float64) string {
	if value == 0 {
		return ""
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}

// rounded has four significant digits.
func rounded(value float64) string { return strconv.FormatFloat(value, 'g', 4, 64) }

// number reads what exact and rounded wrote; what cannot be read is zero.
func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return value
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// setPerNode counts how many chunks an empty node of the pool takes, beside its DaemonSets: the
// fewest, where nodes differ. While there is no node, what the last ones took counts.
func setPerNode(w world, pool *v1alpha1.WarmPool, seen *sight) {
	for i := range seen.limits.Chunks {
		chunk := &seen.limits.Chunks[i]
		for _, node := range seen.nodes {
			if n := chunk.Requests.CountIn(w.emptyRoom(node)); n > 0 && (chunk.PerNode == 0 || n < chunk.PerNode) {
				chunk.PerNode = n
			}
		}
		for _, row := range pool.Status.Chunks {
			if row.Name == chunk.Name && chunk.PerNode == 0 {
				chunk.PerNode = int64(row.PerNode)
			}
		}
	}
}
