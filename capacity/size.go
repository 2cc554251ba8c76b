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

// Peaks are the sorted maxima of the paths within the window, each at least the demand of now; none
// without a forecast.
func Peaks(demand ChunkDemand, window time.Duration) []float64 {
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

// size is the sizing of one chunk by its policy, less free room, within its bounds.
func size(demand ChunkDemand, state ChunkState, chunk Chunk, limits Limits) ChunkPlan {
	sorted := Peaks(demand, limits.Window())
	plan := ChunkPlan{Name: chunk.Name, Tau: Tau(chunk, limits.LeadTime, limits.HoldTime()), Reason: ReasonForecast}
	seen := OutlookOf(sorted, demand.Now, plan.Tau)
	plan.P50, plan.P90, plan.Level = seen.P50, seen.P90, seen.Level
	var asked int64
	switch policy := demand.Policy; policy.Kind {
	case Reactive:
	case Static:
		asked = ceil(policy.Bounded(demand.Now+policy.Headroom+policy.Share*demand.Now, demand.Now) - demand.Now)
		plan.Reason = ReasonStatic
	default:
		sorted = policy.corrected(sorted, demand.Now, seen.Spread)
		plan.Level = OutlookOf(sorted, demand.Now, plan.Tau).Level
		asked = ceil(plan.Level - demand.Now)
	}
	asked, certain := plan.declared(asked, demand, limits.Window())
	if known := ceil(demand.Known); known > asked {
		asked, certain, plan.Reason = known, true, ReasonKnown
	}
	certain = certain || demand.Policy.Kind == Static || state.Interrupted > 0 || demand.Diverted > 0
	asked = max(plan.elsewhere(asked, demand, state)-state.Free, 0)
	beyond := max(asked-chunk.Max, 0)
	asked = wholeNodes(asked, sorted, demand, state, wholeNodesOf{chunk.PerNode, plan.Tau, certain})
	plan.Wanted = min(max(asked, chunk.Min), chunk.Max)
	switch {
	case beyond > 0:
		plan.limit(beyond, ReasonMax)
	case chunk.Min > asked:
		plan.Reason = ReasonMin
	case asked == 0:
		plan.Reason = ReasonSteady
	}
	plan.spread(state, chunk, limits)
	return plan
}

// elsewhere adds to what is asked for what runs on nodes that go, and what is missing in other pools,
// whatever the policy.
func (p *ChunkPlan) elsewhere(asked int64, demand ChunkDemand, state ChunkState) int64 {
	for _, more := range []struct {
		chunks int64
		reason Reason
	}{{ceil(demand.Diverted), ReasonFallback}, {ceil(state.Interrupted), ReasonInterrupted}} {
		if more.chunks > 0 {
			asked = max(asked, 0) + more.chunks
			p.Reason = more.reason
		}
	}
	return asked
}

// wholeNodesOf is what rounding to nodes needs to know: chunks per node, the service level, and
// whether all of what is asked for is needed whatever that says.
type wholeNodesOf struct {
	perNode int64
	tau     float64
	certain bool
}

// wholeNodes rounds what is asked for to what costs the same. The chunks of one node cost no more
// than one of them, so a node is bought whole, if all of its chunks together are worth it, and
// given back whole. What counts from is what stands on nodes already, or is coming.
func wholeNodes(asked int64, sorted []float64, demand ChunkDemand, state ChunkState, of wholeNodesOf) int64 {
	if of.perNode <= 1 || asked == 0 {
		return asked
	}
	there := state.held() + max(state.Room-state.Free, 0) + state.arriving(of.perNode)
	if asked <= there {
		return there - (there-asked)/of.perNode*of.perNode
	}
	if of.certain {
		return there + (asked-there+of.perNode-1)/of.perNode*of.perNode
	}
	wanted := there
	for wanted < asked && worthANode(sorted, demand.Now+float64(state.Free+wanted), of) {
		wanted += of.perNode
	}
	return wanted
}

// worthANode says that the chunks of one more node, beyond what stands for so much demand, save
// more waiting than they cost: each does if P(peak ≤ what stands before it) < τ, so all together
// if the mean of these probabilities is.
func worthANode(sorted []float64, stands float64, of wholeNodesOf) bool {
	sum := 0.0
	for range of.perNode {
		sum += float64(countUpTo(sorted, stands)) / float64(len(sorted))
		stands++
	}
	return sum < of.tau*float64(of.perNode)
}

// held is the number of ungated placeholders.
func (s ChunkState) held() int64 {
	var held int64
	for _, p := range s.Placeholders {
		if p.Stage == Pending || p.Stage == Reserved {
			held++
		}
	}
	return held
}

// arriving is how many chunks more the nodes have room for that autoscalers buy already, for real pods and placeholders
// that wait: they buy whole ones, and place what is ungated meanwhile on these first.
func (s ChunkState) arriving(perNode int64) int64 {
	waiting := s.Waiting
	for _, p := range s.Placeholders {
		if p.Stage == Pending {
			waiting++
		}
	}
	waiting = max(waiting-s.Room, s.Waiting) // placeholders may have room, real pods have none
	return (perNode - waiting%perNode) % perNode
}

// spare is how many gated placeholders to have at hand: what takeovers may use up before
// newly created ones are old enough, at least one.
func spare(demand ChunkDemand, limits Limits, tau float64) int64 {
	rise := quantile(Peaks(demand, limits.spareWindow()), tau, demand.Now) - demand.Now
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
