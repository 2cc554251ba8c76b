package chooser

import (
	"math"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/policy"
)

// Known is what status remembers of a chunk's policy, so that it survives the leader.
func Known(pool *v1alpha1.WarmPool, chunk string) Answer {
	for _, row := range pool.Status.Chunks {
		if row.Name != chunk || row.Policy == nil {
			continue
		}
		p := row.Policy
		answer := Answer{At: timeOf(p.Chosen), Choice: policy.Choice{
			Reason: policy.Reason(p.Reason), Policy: policyIn(p.Kind, p.Headroom, p.Share, p.Margin, p.Most),
			Tried: map[capacity.PolicyKind]policy.Tried{},
		}}
		for _, t := range p.Tried {
			answer.Tried[capacity.PolicyKind(t.Kind)] = policy.Tried{
				Policy: policyIn(t.Kind, t.Headroom, t.Share, t.Margin, t.Most),
				Score:  policy.Score{Cost: number(t.CostPerHour), HitRate: number(t.HitRate), Idle: number(t.Idle)},
			}
		}
		return answer
	}
	return Answer{}
}

func policyIn(kind, headroom, share, margin, most string) capacity.Policy {
	return capacity.Policy{
		Kind: capacity.PolicyKind(kind), Headroom: number(headroom), Share: number(share), Margin: number(margin), Most: number(most),
	}
}

// Status tells which policy, why, and what each would have done, the cheapest first.
func Status(answer Answer) *v1alpha1.PolicyStatus {
	p := answer.Policy
	if p.Kind == "" {
		p.Kind = capacity.Forecast
	}
	status := &v1alpha1.PolicyStatus{
		Kind: string(p.Kind), Reason: string(answer.Reason),
		Headroom: exact(p.Headroom), Share: exact(p.Share), Margin: exact(p.Margin), Most: exact(p.Most),
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
			Kind: string(kind), Headroom: exact(t.Policy.Headroom), Share: exact(t.Policy.Share), Margin: exact(t.Policy.Margin), Most: exact(t.Policy.Most),
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
