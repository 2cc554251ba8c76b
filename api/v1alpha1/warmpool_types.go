package v1alpha1

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WarmPool keeps capacity ready for the pods that it expects.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=wp,categories=forewarm
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodes`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must be at most 63 characters, since it becomes a label of placeholder pods"
type WarmPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   WarmPoolSpec   `json:"spec"`
	Status WarmPoolStatus `json:"status,omitempty"`
}

// WarmPoolList is a list of WarmPools.
//
// +kubebuilder:object:root=true
type WarmPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []WarmPool `json:"items"`
}

// Mode says how far the reserver goes.
//
// +kubebuilder:validation:Enum=Observe;Approve;Enforce
type Mode string

// Modes of a WarmPool.
const (
	// ModeObserve forecasts and plans, shows the plan in status, and changes nothing.
	ModeObserve Mode = "Observe"
	// ModeApprove lets placeholders stand gated until somebody has approved a CapacityPlan for them.
	ModeApprove Mode = "Approve"
	// ModeEnforce applies the plan.
	ModeEnforce Mode = "Enforce"
)

// Acts tells whether placeholders are made in this mode.
func (m Mode) Acts() bool {
	return m == ModeApprove || m == ModeEnforce
}

// Borrow says when others may take what a pool keeps warm.
//
// +kubebuilder:validation:Enum=Never;WhenIdle
type Borrow string

// Ways to lend.
const (
	// BorrowNever keeps others off the pool's nodes always.
	BorrowNever Borrow = "Never"
	// BorrowWhenIdle keeps others off the pool's nodes while owners are expected.
	BorrowWhenIdle Borrow = "WhenIdle"
)

// WarmPoolSpec says which nodes are kept warm, for whom, and what it may cost.
//
// +kubebuilder:validation:XValidation:rule="self.chunks.all(c, self.demand.resource in c.requests)",message="spec.chunks: every chunk must request spec.demand.resource; add it to the chunk's requests"
type WarmPoolSpec struct {
	// Priority decides which pool a pod belongs to where several match; the highest wins, then the name.
	// +optional
	Priority int32 `json:"priority,omitempty"`
	// Nodes are the nodes of this pool.
	Nodes NodeSelection `json:"nodes"`
	// Demand says whose requests count, and who may take the warm capacity.
	Demand DemandSelection `json:"demand"`
	// Borrow says when pods outside the demand class that ask for the same may take the pool's free
	// capacity: WhenIdle (the default), while no owner is expected, or Never. It binds in the modes Approve and Enforce.
	// +optional
	// +kubebuilder:default=WhenIdle
	Borrow Borrow `json:"borrow,omitempty"`
	// Fallback names the WarmPools to turn to, the first ones first, while this one gets no nodes. They
	// must keep the same resource.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=63
	Fallback []string `json:"fallback,omitempty"`
	// Chunks are what one placeholder pod may hold: the shapes of the jobs.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Chunks []Chunk `json:"chunks"`
	// Forecast says how demand is recorded and forecast.
	// +optional
	// +kubebuilder:default={}
	Forecast ForecastSpec `json:"forecast,omitempty"`
	// Sizing says how long capacity takes to come, and how long it is then kept.
	// +optional
	// +kubebuilder:default={}
	Sizing SizingSpec `json:"sizing,omitempty"`
	// Interruption says what happens on nodes that are about to be taken away, beside asking for capacity
	// elsewhere.
	// +optional
	Interruption *InterruptionSpec `json:"interruption,omitempty"`
	// Approval says which growth somebody must approve in mode Enforce, and for how long an approval holds.
	// +optional
	Approval *ApprovalSpec `json:"approval,omitempty"`
	// Mode is Observe (watch and propose, the default), Approve (act on what somebody approves) or Enforce
	// (act).
	// +optional
	// +kubebuilder:default=Observe
	Mode Mode `json:"mode,omitempty"`
}

// Drain says whether nodes that are about to be taken away are emptied.
//
// +kubebuilder:validation:Enum=Never;IfNobodyDoes;Always
type Drain string

// Ways to drain.
const (
	// DrainNever leaves it to others.
	DrainNever Drain = "Never"
	// DrainIfNobodyDoes drains nodes of whose announcers none is known to drain.
	DrainIfNobodyDoes Drain = "IfNobodyDoes"
	// DrainAlways drains all of them, for handlers that only taint or cordon.
	DrainAlways Drain = "Always"
)

// InterruptionSpec says what happens on nodes that are about to be taken away.
type InterruptionSpec struct {
	// Drain cordons such a node and evicts its pods within the notice, those that carry
	// forewarm.dev/critical: "true" once room for them stands elsewhere: Never (the default), IfNobodyDoes,
	// or Always. It binds in the modes Approve and Enforce.
	// +optional
	// +kubebuilder:default=Never
	Drain Drain `json:"drain,omitempty"`
}

// ApprovalSpec says what must be approved. In mode Approve every growth must.
type ApprovalSpec struct {
	// AboveCostPerHour is up to which cost, of placeholders that hold nothing yet, growth needs no approval in
	// mode Enforce, as a decimal number.
	// +optional
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
	AboveCostPerHour string `json:"aboveCostPerHour,omitempty"`
	// AboveNodes is up to how many nodes that are not there yet growth needs no approval in mode Enforce.
	// +optional
	// +kubebuilder:validation:Minimum=0
	AboveNodes *int32 `json:"aboveNodes,omitempty"`
	// ValidFor is how long a CapacityPlan can be approved, and lets placeholders be ungated; from 1m to 168h.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('168h')",message="spec.approval.validFor must be from 1m to 168h"
	ValidFor *metav1.Duration `json:"validFor,omitempty"`
}

// NodeSelection selects the nodes of a pool.
//
// +kubebuilder:validation:XValidation:rule="!has(self.zones) || !has(self.selector.matchLabels) || !(self.zones.key in self.selector.matchLabels)",message="spec.nodes.selector.matchLabels names the one zone of the pool: remove zones, or list zones with matchExpressions: {key: topology.kubernetes.io/zone, operator: In, values: [...]}"
type NodeSelection struct {
	// Selector matches the labels of the pool's nodes, and of the node templates that make them.
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",message="spec.nodes.selector must not be empty, since it would select every node; write for example matchLabels: {karpenter.sh/nodepool: a100}"
	Selector metav1.LabelSelector `json:"selector"`
	// Tolerations are added to the placeholder pods, so that they fit the taints of the pool's nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Zones spreads placeholders over the zones of the pool's nodes.
	// +optional
	Zones *ZoneSpread `json:"zones,omitempty"`
}

// ZoneSpread says how placeholders are spread over zones: those that the selector lists, else those of the
// pool's nodes and of the Karpenter NodePools that make them.
type ZoneSpread struct {
	// Key is the node label whose values are the zones.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self != 'kubernetes.io/hostname'",message="spec.nodes.zones.key: a node is no zone; write for example topology.kubernetes.io/zone"
	// +kubebuilder:default="topology.kubernetes.io/zone"
	// +kubebuilder:validation:MaxLength=316
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Key string `json:"key,omitempty"`
	// MinPerZone is how many placeholders of each chunk are always kept in each zone, within max; what is
	// wanted beyond is spread as evenly as nodes allow.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	MinPerZone int32 `json:"minPerZone,omitempty"`
}

// DemandSelection selects the pods of a pool.
type DemandSelection struct {
	// Resource is the resource whose requests make a pod part of the demand, such as nvidia.com/gpu.
	// +kubebuilder:validation:XValidation:rule="self != ''",message="spec.demand.resource must name a resource, such as nvidia.com/gpu"
	Resource corev1.ResourceName `json:"resource"`
	// NamespaceSelector matches the namespaces of the pods; empty matches all.
	// +optional
	// +kubebuilder:default={}
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// PodSelector matches the labels of the pods; empty matches all.
	// +optional
	// +kubebuilder:default={}
	PodSelector metav1.LabelSelector `json:"podSelector,omitempty"`
	// Future says how much may be kept for pods that do not exist yet, but whose start is known. It is also
	// bounded by what is left of their namespace's ResourceQuotas and forewarm.dev/max-gpus.
	// +optional
	// +kubebuilder:default={}
	Future *FutureSpec `json:"future,omitempty"`
}

// FutureSpec says how much may be kept for pods that do not exist yet.
type FutureSpec struct {
	// NamespaceSharePercent is how much of what the chunks may hold by their max may be kept for the known
	// future of one namespace: next runs of CronJobs, and Kueue's Workloads with quota reserved. 0 for none.
	// +optional
	// +kubebuilder:default=25
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	NamespaceSharePercent *int32 `json:"namespaceSharePercent,omitempty"`
}

// Chunk is a shape of placeholder pod. Costs, Min and Max are for one chunk.
//
// +kubebuilder:validation:XValidation:rule="!has(self.min) || self.min <= self.max",message="min must not exceed max: lower min or raise max"
type Chunk struct {
	// Name names the chunk within its pool.
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// Requests are the resource requests of one placeholder pod.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(r, type(self[r]) == int ? self[r] > 0 : (!self[r].startsWith('-') && !self[r].startsWith('+') && !self[r].startsWith('.') && (!self[r].startsWith('0') || self[r].startsWith('0.'))))",message="every request of a chunk must be greater than zero, and begin with a digit"
	Requests corev1.ResourceList `json:"requests"`
	// WaitCostPerHour is what one hour of waiting costs for a job of this shape, as a decimal number.
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
	WaitCostPerHour string `json:"waitCostPerHour"`
	// IdleCostPerHour is what one hour of idle capacity of this shape costs, as a decimal number in the same currency.
	// Where prices of the pool's nodes are known, they count instead: status.chunks[].price.
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
	IdleCostPerHour string `json:"idleCostPerHour"`
	// Tier is when placeholders of this shape are taken, and by whom: the lowest first, and one of tier n only by
	// pods whose priority is above that of tier 0 by more than n; those of tier 0 (the default) by all. With
	// the usual -10, pods of priority 0 and more take all, and those of -7 tiers 0 to 2.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9
	Tier int32 `json:"tier,omitempty"`
	// Min is how many placeholders of this shape are always kept.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Min int32 `json:"min,omitempty"`
	// Max is how many placeholders of this shape may exist, gated ones included.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max"`
}

// ForecastSpec says how demand is recorded and forecast.
type ForecastSpec struct {
	// Interval is the step of the demand series and the time between two plans; from 1s to 1h.
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="spec.forecast.interval must be from 1s to 1h"
	Interval metav1.Duration `json:"interval,omitempty"`
	// History is how much history is kept and fitted on; at most 60 days.
	// +optional
	// +kubebuilder:default="672h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('1440h')",message="spec.forecast.history must be from 1m to 1440h"
	History metav1.Duration `json:"history,omitempty"`
	// Seasons are the lengths of the seasons in the demand, shortest first. Leave it empty: they are found
	// in the history, from an hour to a week.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	Seasons []metav1.Duration `json:"seasons,omitempty"`
	// Model is Auto (the default), which weighs many models and is retrained, or Combined, which weighs a
	// few simple ones and is not.
	// +optional
	// +kubebuilder:default=Auto
	// +kubebuilder:validation:Enum=Auto;Combined
	Model string `json:"model,omitempty"`
	// RetrainEvery is how often other settings are tried against those in use; at least a day.
	// +optional
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('24h') && duration(self) <= duration('1440h')",message="spec.forecast.retrainEvery must be from 24h to 1440h"
	RetrainEvery *metav1.Duration `json:"retrainEvery,omitempty"`
}

// SizingSpec says how long capacity takes to come, and how long it is then kept.
type SizingSpec struct {
	// LeadTime is the time from asking for a node until a pod runs on it: a duration from 1s to 2h, or
	// Auto to learn it from the pool's own placeholders.
	// +optional
	// +kubebuilder:default=Auto
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self == 'Auto' || duration(self) >= duration('1s') && duration(self) <= duration('2h')",message="spec.sizing.leadTime must be Auto, or from 1s to 2h"
	LeadTime AutoDuration `json:"leadTime,omitempty"`
	// Hold is how long a chunk is kept after it was last wanted, at least: as long as the autoscaler's own timers.
	// minBilling and one plan interval lengthen it where they are longer.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="spec.sizing.hold must be from 1s to 24h"
	Hold metav1.Duration `json:"hold,omitempty"`
	// MinBilling is the least time for which a node is paid, up to 24h; 0s for by the second. Chunks are kept as
	// long after they were last wanted.
	// +optional
	// +kubebuilder:default="0s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="spec.sizing.minBilling must be from 0s to 24h"
	MinBilling metav1.Duration `json:"minBilling,omitempty"`
	// MaxNodes is how many nodes the pool may have; beyond it no placeholder asks for one.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxNodes *int32 `json:"maxNodes,omitempty"`
	// IdleBudgetPerHour is what placeholders may cost per hour, by idleCostPerHour or the prices of nodes, as a
	// decimal number. What is worth the least is shed first, and never below min.
	// +optional
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
	IdleBudgetPerHour string `json:"idleBudgetPerHour,omitempty"`
	// IdleBudgetPerDay is what they may cost per day of UTC.
	// +optional
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?$`
	IdleBudgetPerDay string `json:"idleBudgetPerDay,omitempty"`
}

// AutoDuration is a duration such as 6m, or Auto.
type AutoDuration string

// Auto leaves a duration to what is measured.
const Auto AutoDuration = "Auto"

// Fixed is the duration that is written; false for Auto, and for what is none.
func (d AutoDuration) Fixed() (time.Duration, bool) {
	fixed, err := time.ParseDuration(string(d))
	return fixed, err == nil
}

// Controller is the reference of what is made for the pool and goes with it. It does not have the
// deletion of the pool wait: for that, API servers with OwnerReferencesPermissionEnforcement, as those of
// OpenShift, want a right to change the finalizers of pools.
func (p *WarmPool) Controller() metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: GroupVersion.String(), Kind: "WarmPool", Name: p.Name, UID: p.UID, Controller: new(true)}
}
