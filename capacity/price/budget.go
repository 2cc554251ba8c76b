package price

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/spec"
)

// SetBudget sets what idling may cost, and adds what a pool's placeholders have cost since the last plan,
// by the prices of the chunks, to what status remembers of the day.
func SetBudget(pool *v1alpha1.WarmPool, placeholders []*corev1.Pod, limits *capacity.Limits, now time.Time) (*v1alpha1.IdleStatus, error) {
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
	idle := spentToday(pool.Status.Idle, idleCost(placeholders, limits.Chunks), now)
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

// idleCost is what the placeholders that hold capacity cost per hour.
func idleCost(placeholders []*corev1.Pod, chunks []capacity.Chunk) float64 {
	sum := 0.0
	for _, pod := range placeholders {
		for _, chunk := range chunks {
			if chunk.Name == pod.Labels[v1alpha1.LabelChunk] && placeholder.StageOf(pod) == capacity.Reserved {
				sum += chunk.IdleCostPerHour
			}
		}
	}
	return sum
}
