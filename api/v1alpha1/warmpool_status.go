package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WarmPoolStatus is what the reserver saw and did.
type WarmPoolStatus struct {
	// ObservedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Planned is when the reserver last planned for the pool, to the minute. Once it has been silent for ten
	// minutes, or three intervals if that is longer, what it wanted is not kept for anybody any more.
	// +optional
	Planned *metav1.Time `json:"planned,omitempty"`
	// Nodes is the number of ready nodes of the pool.
	// +optional
	Nodes int32 `json:"nodes,omitempty"`
	// Chunks holds a row per chunk of the spec.
	// +optional
	// +listType=map
	// +listMapKey=name
	Chunks []ChunkStatus `json:"chunks,omitempty"`
	// LeadTime is how long nodes of the pool take to come.
	// +optional
	LeadTime *LeadTimeStatus `json:"leadTime,omitempty"`
	// Idle is what placeholders have cost today; absent without an idle budget per day.
	// +optional
	Idle *IdleStatus `json:"idle,omitempty"`
	// Scorecard says what would have happened had the pool acted; absent where it does.
	// +optional
	Scorecard *ScorecardStatus `json:"scorecard,omitempty"`
	// LastPlan is the last plan that had something to change.
	// +optional
	LastPlan *PlanStatus `json:"lastPlan,omitempty"`
	// MaxNodes are the ceilings of nodes in force.
	// +optional
	MaxNodes *MaxNodesStatus `json:"maxNodes,omitempty"`
	// Supply says whether the pool gets the nodes that it asks for; absent while it always has.
	// +optional
	Supply *SupplyStatus `json:"supply,omitempty"`
	// Conditions are Ready, StockOut, Limited, Forecasting, Infeasible, Conflict, PricesUnreadable,
	// FutureUnreadable and AboveCeiling.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MaxNodesStatus are the annotations forewarm.dev/max-nodes that bind a pool, as numbers of nodes: of
// one that cannot be read, the last that could.
type MaxNodesStatus struct {
	// Pool is that of the WarmPool.
	// +optional
	Pool *int64 `json:"pool,omitempty"`
	// NodePool is that of the Karpenter NodePool that the WarmPool selects, of several the sum, where all have one.
	// +optional
	NodePool *int64 `json:"nodePool,omitempty"`
	// Cluster is that of kube-system, for all nodes.
	// +optional
	Cluster *int64 `json:"cluster,omitempty"`
}

// ChunkStatus is the state of one chunk. Counts are placeholders of this shape.
type ChunkStatus struct {
	// Name is the chunk's name.
	Name string `json:"name"`
	// Demand is the demand of real pods, running and pending, in chunks of this shape, as a decimal number.
	// +optional
	Demand string `json:"demand,omitempty"`
	// Forecast is the forecast of the highest demand within the lead time.
	// +optional
	Forecast *ChunkForecast `json:"forecast,omitempty"`
	// Policy says how the need is estimated, and why.
	// +optional
	Policy *PolicyStatus `json:"policy,omitempty"`
	// PerNode is how many chunks an empty node of the pool takes, the fewest where nodes differ; nodes are
	// bought and given back whole. Zero until the pool has had a node.
	// +optional
	PerNode int32 `json:"perNode,omitempty"`
	// Price is what idle capacity of this shape costs by the prices of nodes; absent while idleCostPerHour counts.
	// +optional
	Price *PriceStatus `json:"price,omitempty"`
	// Free is how many chunks free room on nodes in use can still take.
	// +optional
	Free int32 `json:"free"`
	// Wanted is how many ungated placeholders the plan asks for.
	// +optional
	Wanted int32 `json:"wanted"`
	// Gated is how many placeholders stand behind their scheduling gate.
	// +optional
	Gated int32 `json:"gated"`
	// Pending is how many ungated placeholders wait for a node.
	// +optional
	Pending int32 `json:"pending"`
	// Reserved is how many placeholders hold capacity on a node.
	// +optional
	Reserved int32 `json:"reserved"`
	// Limited is how many more placeholders would be wanted without limits; condition Limited says which.
	// +optional
	Limited int32 `json:"limited,omitempty"`
	// Infeasible is how many of Pending the autoscaler says that it brings no node for.
	// +optional
	Infeasible int32 `json:"infeasible,omitempty"`
	// Message is what the autoscaler says of one of these.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// Zones says where they are; absent where spec.nodes.zones is.
	// +optional
	// +listType=map
	// +listMapKey=name
	Zones []ZoneStatus `json:"zones,omitempty"`
}

// ZoneStatus is what there is of a chunk in one zone.
type ZoneStatus struct {
	// Name is the zone's.
	Name string `json:"name"`
	// Reserved is how many placeholders hold capacity there.
	// +optional
	Reserved int32 `json:"reserved"`
	// Pending is how many wait for a node there.
	// +optional
	Pending int32 `json:"pending"`
	// Overdue is how many of these have waited for longer than nodes take; others take their place elsewhere.
	// +optional
	Overdue int32 `json:"overdue,omitempty"`
}

// PriceStatus is a cost by the prices of nodes.
type PriceStatus struct {
	// IdleCostPerHour is what one hour of idle capacity of one chunk costs, as a decimal number: its share of
	// a node, in the mean over the pool's nodes.
	// +kubebuilder:validation:MaxLength=32
	IdleCostPerHour string `json:"idleCostPerHour"`
	// Source is where the prices come from: Annotation (of the nodes), File, OpenCost, or several of them.
	// +kubebuilder:validation:MaxLength=64
	Source string `json:"source"`
}

// IdleCostOf is what an hour of idle capacity of a chunk costs: by the prices of nodes where they are known,
// else as the spec says.
func (p *WarmPool) IdleCostOf(chunk *Chunk) string {
	for i := range p.Status.Chunks {
		if row := &p.Status.Chunks[i]; row.Name == chunk.Name && row.Price != nil {
			return row.Price.IdleCostPerHour
		}
	}
	return chunk.IdleCostPerHour
}

// ChunkForecast is a forecast of the highest demand within the lead time, in chunks, as decimal numbers.
type ChunkForecast struct {
	// P50 is the median.
	P50 string `json:"p50"`
	// P90 is the 0.9 quantile.
	P90 string `json:"p90"`
	// Level is the quantile that the costs ask for, c_wait·lead / (c_wait·lead + c_idle·hold).
	Level string `json:"level"`
	// Source is the model or the fallback that made the forecast.
	Source string `json:"source"`
	// Reason says in one word why this source was used.
	Reason string `json:"reason"`
	// Version is that of the chunk's ForecastModel by which it was made.
	// +optional
	Version int64 `json:"version,omitempty"`
	// Tau is the quantile level of Level: how often the demand may be expected to stay at or below it.
	// +optional
	Tau string `json:"tau,omitempty"`
	// Sizing says in one word why as many placeholders are wanted as are.
	// +optional
	Sizing string `json:"sizing,omitempty"`
	// Seasons are the lengths after which demand repeats itself, as given or found, shortest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=9
	Seasons []metav1.Duration `json:"seasons,omitempty"`
	// Members are the forecasters that are mixed for the end of the horizon, the largest share first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Members []ForecastShare `json:"members,omitempty"`
	// Features are what moves the largest regression among them away from the level of the last season, as
	// shares of all movements; those that lower demand are negative. The strongest three are told.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Features []ForecastShare `json:"features,omitempty"`
}

// PolicyStatus says how the need of a chunk is estimated. Numbers are decimal.
type PolicyStatus struct {
	// Kind is Forecast, Static (headroom above the demand of now) or Reactive (nothing ahead).
	Kind string `json:"kind"`
	// Reason says in one word why; empty until the first choice was made.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Chosen is when it was chosen.
	// +optional
	Chosen *metav1.Time `json:"chosen,omitempty"`
	// Headroom is what Static keeps, in chunks, Share what it keeps per chunk of demand, and Margin what is
	// added to the forecast, in units of its spread.
	// +optional
	Headroom string `json:"headroom,omitempty"`
	// +optional
	Share string `json:"share,omitempty"`
	// +optional
	Margin string `json:"margin,omitempty"`
	// Most is the demand, in chunks, beyond which nothing is kept ahead: the highest that there has been for two
	// weeks, where that has been the cheapest.
	// +optional
	Most string `json:"most,omitempty"`
	// Tried is what the best policy of each kind would have done on the chunk's own history, the cheapest
	// first.
	// +optional
	// +listType=map
	// +listMapKey=kind
	Tried []PolicyTried `json:"tried,omitempty"`
}

// PolicyTried is what a policy would have done. Numbers are decimal.
type PolicyTried struct {
	// Kind is that of the policy.
	Kind string `json:"kind"`
	// CostPerHour is the mean cost of idling and waiting, in the currency of the chunk's costs.
	CostPerHour string `json:"costPerHour"`
	// HitRate is the share of the demand that arrived which would have found capacity ready.
	HitRate string `json:"hitRate"`
	// Idle is the mean number of chunks that would have idled.
	Idle string `json:"idle"`
	// Headroom, Share, Margin and Most are the numbers of the policy.
	// +optional
	Headroom string `json:"headroom,omitempty"`
	// +optional
	Share string `json:"share,omitempty"`
	// +optional
	Margin string `json:"margin,omitempty"`
	// +optional
	Most string `json:"most,omitempty"`
}

// ForecastShare is a part of a forecast.
type ForecastShare struct {
	// Name says of what.
	Name string `json:"name"`
	// Share is a decimal number.
	Share string `json:"share"`
}

// IdleStatus is what idle capacity has cost.
type IdleStatus struct {
	// At is until when it is counted.
	At metav1.Time `json:"at"`
	// Spent is what placeholders that hold capacity have cost since midnight UTC, as a decimal number.
	Spent string `json:"spent"`
}

// LeadTimeStatus is the time from asking for a node until a pod runs on it.
type LeadTimeStatus struct {
	// Used is the lead time that plans are made with.
	Used metav1.Duration `json:"used"`
	// Source is Set (in the spec), Learned (the 95th percentile of the recent nodes) or Assumed (until
	// there are five).
	Source string `json:"source"`
	// P50 and P95 are percentiles of the recent nodes, in which placeholders that still wait for one
	// have their share.
	// +optional
	P50 *metav1.Duration `json:"p50,omitempty"`
	// +optional
	P95 *metav1.Duration `json:"p95,omitempty"`
	// Waiting is how many batches of placeholders still wait for a node.
	// +optional
	Waiting int32 `json:"waiting,omitempty"`
	// Recent are the nodes that were measured, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Recent []LeadTimeSample `json:"recent,omitempty"`
}

// LeadTimeSample is one node that was waited for.
type LeadTimeSample struct {
	// Node is its name.
	Node string `json:"node"`
	// At is when a placeholder ran on it.
	At metav1.Time `json:"at"`
	// Took is how long that was after the placeholder was ungated.
	Took metav1.Duration `json:"took"`
}

// PlanStatus is a plan in numbers.
type PlanStatus struct {
	// Time is when the plan was made.
	Time metav1.Time `json:"time"`
	// Create, Ungate and Delete are numbers of placeholder pods.
	// +optional
	Create int32 `json:"create"`
	// +optional
	Ungate int32 `json:"ungate"`
	// +optional
	Delete int32 `json:"delete"`
	// CostPerHour is what all placeholders that are ungated then, wanted or still held, cost per hour while they
	// idle, as a decimal number.
	// +optional
	CostPerHour string `json:"costPerHour,omitempty"`
	// Applied is false in mode Observe and when applying failed.
	Applied bool `json:"applied"`
	// Reason says why, in one line.
	// +optional
	Reason string `json:"reason,omitempty"`
}
