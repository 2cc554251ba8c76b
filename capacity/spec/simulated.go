package spec

import (
	"math"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// Simulated are the limits of a WarmPool for one who simulates it: with a lead time, and without the bound
// on the changes of one plan. The idle budget per day is left out, since it depends on what was spent.
func Simulated(pool *v1alpha1.WarmPool, lead time.Duration) (capacity.Limits, error) {
	chunks, err := Chunks(pool)
	if err != nil {
		return capacity.Limits{}, err
	}
	limits := Limits(pool, chunks, lead, math.MaxInt32)
	limits.IdleBudgetPerHour, err = Amount("spec.sizing.idleBudgetPerHour", pool.Spec.Sizing.IdleBudgetPerHour)
	return limits, err
}
