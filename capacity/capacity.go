// Package capacity decides how many placeholder pods of which shape a pool needs now. It
// is pure: Plan is a function of the forecast demand, the state of the pool, its limits
// and the time. The formulas, with worked numbers, are in docs/calculations.md.
package capacity

import (
	"time"

	"forewarm.dev/internal/quantity"
)

// Demand is what real pods ask for, and what they are expected to ask for.
type Demand struct {
	// Chunks has a row per chunk, in the order of Limits.Chunks.
	Chunks []ChunkDemand
}

// ChunkDemand is the demand for one shape, in chunks of that shape.
type ChunkDemand struct {
	// Now is the demand of running and pending pods.
	Now float64
	// Horizon are the times ahead of the paths' values, increasing.
	Horizon []time.Duration
	// Paths are equally likely joint sample paths of demand; none if there is no forecast.
	Paths [][]float64
	// Policy is how the need is estimated from them.
	Policy Policy
	// Declared is demand that somebody has announced.
	Declared []Declared
	// Known is demand beyond Now that begins within the window for sure, in chunks: its pods do not exist yet.
	Known float64
	// Diverted is what other pools want that get no nodes, in chunks of this shape.
	Diverted float64
}

// State is what the pool has.
type State struct {
	// Chunks has a row per chunk, in the order of Limits.Chunks.
	Chunks []ChunkState
	// Outdated are the names of placeholder pods whose shape is not among the chunks any more.
	Outdated []string
	// Young says that the pool has been looked at for less than the hold time, or that what is known to start
	// could not be read: it is too early to say that its work has ended.
	Young bool
}

// ChunkState is what there is of one shape.
type ChunkState struct {
	// Free is how many chunks fit in free room on nodes that run real pods. Room on a node
	// without any is not counted: the autoscaler is about to take it away.
	Free int64
	// Room is how many chunks fit in free room on all nodes that pods can be placed on. It counts
	// where Limits.NodesLeft does.
	Room int64
	// Interrupted is how many chunks of real demand run on nodes that are about to be taken away.
	Interrupted float64
	// Waiting is how many chunks of real demand wait for a node.
	Waiting int64
	// Refused says that the newest word of an autoscaler on the placeholders that wait for a node was that it
	// brings none.
	Refused bool `json:",omitempty"`
	// ZoneRoom is the part of Room in each zone, in the order of Limits.Zones.
	ZoneRoom []int64
	// Kept is the highest wanted number of the hold time just passed, or all that is held where that is not
	// known; it slows the down-step.
	Kept int64
	// Placeholders are the placeholder pods of this shape that are not being deleted.
	Placeholders []Placeholder
}

// Stage is how far a placeholder pod has come.
type Stage int

// Stages of a placeholder pod.
const (
	// Gated stands behind its scheduling gate and costs nothing.
	Gated Stage = iota
	// Pending is ungated and has no node yet.
	Pending
	// Reserved holds capacity on a node.
	Reserved
	// Finished has ended, for example at its deadline, and holds nothing any more.
	Finished
	// Lost stands on a node that is about to be taken away, or takes no pods, and holds nothing any more.
	Lost
	// Overdue was ungated into a zone and has waited there for longer than nodes take. It does not count as
	// coming, so that another takes its place elsewhere, and stays, since it shows when the zone has nodes again.
	Overdue
)

// Placeholder is one placeholder pod.
type Placeholder struct {
	// Name is the pod's name.
	Name string
	// Stage is how far it has come.
	Stage Stage
	// Created is when the pod was made.
	Created time.Time
	// Node is the node that it is on; empty for none.
	Node string
	// Zone is the zone of its node, or the one that it was ungated into; empty for neither.
	Zone string
	// Companions is the number of other pods, DaemonSet pods aside, on its node: real ones count
	// RealWeight each, placeholders one. The smaller, the sooner deleting empties the node.
	Companions int64
	// Expires is when its deadline ends it; zero if it has not started.
	Expires time.Time
}

// RealWeight is what one real pod weighs in Placeholder.Companions; placeholders weigh one.
const RealWeight = 1000

// Limits are what the admins allow.
type Limits struct {
	// Chunks are the shapes, in the order of the WarmPool.
	Chunks []Chunk
	// LeadTime is from asking for a node until a pod runs on it.
	LeadTime time.Duration
	// Hold is how long a chunk is kept at least once it is there.
	Hold time.Duration
	// MinBilling is the least time for which a node is paid.
	MinBilling time.Duration
	// Interval is the time between two plans.
	Interval time.Duration
	// GateAge is how long before its ungating a placeholder should have been created.
	GateAge time.Duration
	// MaxChanges bounds the creates, the ungates and the deletes of one plan, each.
	MaxChanges int
	// Zones are the zones that the pool may have nodes in, sorted, and MinPerZone how many placeholders of
	// each chunk each of them has at least. Set by SpreadOver.
	Zones      []string
	MinPerZone int64
	// NodesLeft is how many more nodes may be asked for; nil means any number.
	NodesLeft *int64
	// IdleBudgetPerHour is what ungated placeholders may cost per hour, and IdleBudgetLeft what they
	// may still cost today; nil means any amount.
	IdleBudgetPerHour, IdleBudgetLeft *float64
	// Approval says what must be approved, and what has been; nil means nothing must.
	Approval *Approval
	// Supply says whether the pool gets nodes; it is Closed where there is no other pool to turn to.
	Supply BreakerState
	// Paused, if not empty, says why nothing is ungated for the moment.
	Paused Reason
	// Frozen, if not empty, says why nothing may change.
	Frozen Reason
}

// Approval says what must be approved before it is ungated, and what has been.
type Approval struct {
	// AboveCostPerHour and AboveNodes let what costs less, and asks for fewer nodes, pass; both nil means
	// that every growth must be approved.
	AboveCostPerHour *float64
	AboveNodes       *int64
	// Levels are how many placeholders of each chunk may stand ungated, in the order of Limits.Chunks.
	Levels []int64
}

// Chunk is a shape of placeholder. Costs, Min and Max are for one chunk.
type Chunk struct {
	Name     string
	Requests quantity.Vector
	// WaitCostPerHour and IdleCostPerHour are in one currency.
	WaitCostPerHour float64
	IdleCostPerHour float64
	Min, Max        int64
	// PerNode is how many fit on an empty node of the pool; zero where that is not known.
	PerNode int64
}

// Reason says in one word why a step is taken, or why none is.
type Reason string

// Reasons of steps and chunks.
const (
	// ReasonForecast asks for capacity because demand is expected.
	ReasonForecast Reason = "ForecastDemand"
	// ReasonStatic asks for headroom, since that has been cheaper than the forecast.
	ReasonStatic Reason = "StaticHeadroom"
	// ReasonDeclared asks for capacity because somebody has announced demand.
	ReasonDeclared Reason = "DeclaredDemand"
	// ReasonKnown asks for capacity for pods that do not exist yet, but whose start is known.
	ReasonKnown Reason = "KnownDemand"
	// ReasonBought removes placeholders that wait for nodes which pods that wait will take: what is
	// bought for them already is not bought twice.
	ReasonBought Reason = "BoughtAlready"
	// ReasonMin asks for capacity because of the chunk's min.
	ReasonMin Reason = "BelowMin"
	// ReasonMinPerZone asks for capacity because a zone has less than each is to have.
	ReasonMinPerZone Reason = "BelowMinPerZone"
	// ReasonMax says that the forecast asks for more than the chunk's max.
	ReasonMax Reason = "LimitedByMax"
	// ReasonMaxNodes says that more nodes would be asked for than are allowed.
	ReasonMaxNodes Reason = "LimitedByMaxNodes"
	// ReasonIdleBudget says that what is wanted would cost more than the idle budget per hour.
	ReasonIdleBudget Reason = "LimitedByIdleBudgetPerHour"
	// ReasonIdleBudgetOfDay says that it would cost more than what is left of the idle budget of the day.
	ReasonIdleBudgetOfDay Reason = "LimitedByIdleBudgetPerDay"
	// ReasonStockOut says that more would be wanted of a pool that gets no nodes, and removes the
	// placeholders that wait for one there.
	ReasonStockOut Reason = "LimitedByStockOut"
	// ReasonRefused says that more would be wanted, and that autoscalers refuse nodes for those that wait.
	ReasonRefused Reason = "LimitedByAutoscaler"
	// ReasonFallback asks for capacity for a pool that gets no nodes.
	ReasonFallback Reason = "FallbackDemand"
	// ReasonUnapproved says that more would be wanted, and that nobody has approved it.
	ReasonUnapproved Reason = "LimitedByApproval"
	// ReasonSpare keeps gated placeholders at hand.
	ReasonSpare Reason = "SpareGated"
	// ReasonSurplus gives capacity back that has not been wanted for the hold time.
	ReasonSurplus Reason = "NotWanted"
	// ReasonOver gives capacity back because the pool's work has ended.
	ReasonOver Reason = "WorkEnded"
	// ReasonAboveMax removes what exceeds the chunk's max.
	ReasonAboveMax Reason = "AboveMax"
	// ReasonOutdated removes a placeholder whose shape is not among the chunks any more.
	ReasonOutdated Reason = "Outdated"
	// ReasonExpiring replaces a placeholder shortly before its deadline, in its own room.
	ReasonExpiring Reason = "Expiring"
	// ReasonFinished removes a placeholder that has ended.
	ReasonFinished Reason = "Finished"
	// ReasonInterrupted removes a placeholder whose node is about to be taken away, or asks for capacity
	// for the pods on such nodes.
	ReasonInterrupted Reason = "Interrupted"
	// ReasonTakenOver removes a placeholder for a pod that cannot preempt it, and ungates no other until
	// that pod had the time to bind.
	ReasonTakenOver Reason = "TakenOver"
	// ReasonSteady says that nothing needs to change.
	ReasonSteady Reason = "Steady"
	// ReasonConflict freezes a pool whose nodes belong to an older pool.
	ReasonConflict Reason = "Conflict"
)

// Action is what a step does.
type Action string

// Actions of a step.
const (
	// Create makes one gated placeholder.
	Create Action = "Create"
	// Ungate removes the scheduling gate, so that the autoscaler buys room if there is none.
	Ungate Action = "Ungate"
	// Delete removes one placeholder.
	Delete Action = "Delete"
)

// Step is one change.
type Step struct {
	Action Action
	// Chunk is the name of the shape.
	Chunk string
	// Pod is the placeholder to ungate or delete; empty for Create, and for the Ungate of a
	// placeholder that an earlier Create of the same plan makes.
	Pod string
	// Zone is where an Ungate has it placed; empty for anywhere.
	Zone string
	// Reason says why.
	Reason Reason
}

// Result is a plan: what is wanted, and the steps towards it.
type Result struct {
	// Chunks has a row per chunk, in the order of Limits.Chunks.
	Chunks []ChunkPlan
	// Nodes is how many nodes that are not there yet the ungated placeholders ask for, at most, and
	// UnapprovedNodes how many more those would that wait for an approval.
	Nodes, UnapprovedNodes int64
	// CostPerHour is what the placeholders that are ungated then, wanted or still held, cost while they idle,
	// and UnapprovedCostPerHour what those would beside them that wait for an approval.
	CostPerHour, UnapprovedCostPerHour float64
	// Steps are to be taken in this order: deletes, creates, ungates. What is deleted makes the room
	// that is then ungated for, so that replacing a placeholder buys nothing.
	Steps []Step
}

// ChunkPlan is what is wanted of one shape.
type ChunkPlan struct {
	Name string
	// Tau is the service level that the costs ask for.
	Tau float64
	// P50, P90 and Level are quantiles of the highest demand within the window; Level is that at Tau.
	P50, P90, Level float64
	// Wanted is the number of ungated placeholders.
	Wanted int64
	// Limited is how many more would be wanted without limits, and LimitedBy are the limits that bit,
	// in the order in which they did.
	Limited   int64
	LimitedBy []Reason
	// Unapproved is how many of these wait for an approval; they stand gated.
	Unapproved int64
	// Diverted is how many of these other pools are turned to for.
	Diverted int64
	// Spread is how many of Wanted are wanted only because zones are short while others have more than they
	// need, and Pinned how many are to be ungated into each zone, in the order of Limits.Zones.
	Spread int64
	Pinned []int64
	// Unkept says that what is held beyond Wanted is given back though its hold time is not over: there is no
	// money to keep it.
	Unkept bool `json:",omitempty"`
	// Reason says what decided Wanted.
	Reason Reason
}
