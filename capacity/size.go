package capacity

import (
	"math"
	"slices"
	"time"
)

// Tau is the service level at which one more idle chunk costs as much as it saves waiting:
// the critical fractile c_wait·lead / (c_wait·lead + c_idle·hold) of the newsvendor
// problem (Arrow, Harris, Marschak 1951). Zero where waiting costs nothing.
func Tau(chunk Chunk, lead, hold time.Duration) float64 {
	wait := chunk.WaitCostPerHour * lead.Hours()
	idle := chunk.IdleCostPerHour * hold.Hours()
	if wait <= 0 {
		return 0
	}
	return wait / (wait + idle)
}

// peaks are the sorted maxima of the paths within the window; none without a forecast.
func peaks(demand ChunkDemand, window time.Duration) []float64 {
	highest := make([]float64, 0, len(demand.Paths))
	for _, path := range demand.Paths {
		peak := demand.Now
		for i, value := range path {
			if i < len(demand.Horizon) && demand.Horizon[i] <= window && value > peak {
				peak = value
			}
		}
		highest = append(highest, peak)
	}
	slices.Sort(highest)
	return highest
}

// quantile is the smallest of the sorted values that at least a share of level does not
// exceed; fallback if there are none.
func quantile(sorted []float64, level, fallback float64) float64 {
	if len(sorted) == 0 {
		return fallback
	}
	index := int(math.Ceil(level*float64(len(sorted)))) - 1
	return sorted[min(max(index, 0), len(sorted)-1)]
}

// size is the sizing of one chunk: the smallest whole number r for which the demand within
// lead time and one interval exceeds what runs, plus free room, plus r with a probability
// of at most 1 − τ.
func size(demand ChunkDemand, state ChunkState, chunk Chunk, limits Limits) ChunkPlan {
	sorted := peaks(demand, limits.LeadTime+limits.Interval)
	plan := ChunkPlan{Name: chunk.Name, Tau: Tau(chunk, limits.LeadTime, limits.Hold), Reason: ReasonForecast}
	plan.P50 = quantile(sorted, 0.5, demand.Now)
	plan.P90 = quantile(sorted, 0.9, demand.Now)
	plan.Level = quantile(sorted, plan.Tau, demand.Now)
	if plan.Tau == 0 {
		plan.Level = demand.Now
	}
	asked := max(ceil(plan.Level-demand.Now)-state.Free, 0)
	plan.Wanted = min(max(asked, chunk.Min), chunk.Max)
	plan.Limited = max(asked-chunk.Max, 0)
	switch {
	case plan.Limited > 0:
		plan.Reason = ReasonMax
	case chunk.Min > asked:
		plan.Reason = ReasonMin
	case asked == 0:
		plan.Reason = ReasonSteady
	}
	return plan
}

// spare is how many gated placeholders to have at hand: what takeovers may use up before
// newly created ones are old enough, at least one.
func spare(demand ChunkDemand, limits Limits, tau float64) int64 {
	rise := quantile(peaks(demand, max(limits.GateAge, limits.Interval)), tau, demand.Now) - demand.Now
	return max(ceil(rise), 1)
}

// ceil rounds up, forgiving the rounding errors of sums of fractions. Values beyond what
// any pool can hold are cut off there.
func ceil(value float64) int64 {
	const most = 1 << 40
	switch {
	case math.IsNaN(value):
		return 0
	case value > most:
		return most
	}
	return int64(math.Ceil(value - 1e-9))
}
