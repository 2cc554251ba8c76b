package reserver

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/spec"
)

// setIdleBudget sets what idling may cost, and adds what it has cost since the last plan to what
// status remembers of the day.
func setIdleBudget(w world, pool *v1alpha1.WarmPool, limits *capacity.Limits, now time.Time) (*v1alpha1.IdleStatus, error) {
	sizing := pool.Spec.Sizing
	perHour, err := spec.Amount("spec.sizing.idleBudgetPerHour", sizing.IdleBudgetPerHour)
	if err != nil {
		return nil, err
	}
	perDay, err := spec.Amount("spec.sizing.idleBudgetPerDay", sizing.IdleBudgetPerDay)
	if err != nil {
		return nil, err
	}
	limits.IdleBudgetPerHour = perHour
	if perDay == nil {
		return nil, nil
	}
	idle := spentToday(pool.Status.Idle, w.idleCost(pool), now)
	limits.IdleBudgetLeft = new(*perDay - number(idle.Spent))
	return idle, nil
}

// spentToday goes on from what was known, at what idling costs per hour now. A day is one of UTC.
// It counts whole seconds, as status keeps them: the rest would be counted again by the next plan.
func spentToday(known *v1alpha1.IdleStatus, perHour float64, now time.Time) *v1alpha1.IdleStatus {
	now = now.Truncate(time.Second)
	today := now.UTC().Truncate(24 * time.Hour)
	spent := 0.0
	if known != nil && known.At.After(today.Add(-24*time.Hour)) {
		since := known.At.Time
		if since.Before(today) {
			since = today
		} else {
			spent = number(known.Spent)
		}
		spent += perHour * max(now.Sub(since), 0).Hours()
	}
	return &v1alpha1.IdleStatus{At: metav1.NewTime(now), Spent: strconv.FormatFloat(spent, 'f', 6, 64)}
}

// idleCost is what the placeholders of a pool that hold capacity cost per hour.
func (w world) idleCost(pool *v1alpha1.WarmPool) float64 {
	sum := 0.0
	for _, pod := range w.placeholders[pool.Name] {
		for _, chunk := range pool.Spec.Chunks {
			if chunk.Name == pod.Labels[v1alpha1.LabelChunk] && placeholder.StageOf(pod) == capacity.Reserved {
				sum += number(chunk.IdleCostPerHour)
			}
		}
	}
	return sum
}
