package v1alpha1

// Names that users, other components and other processes of ours see.
const (
	// AnnotationMaxReplicas on a workload, a Namespace, or the kube-system Namespace is the highest replica count.
	AnnotationMaxReplicas = "forewarm.dev/max-replicas"
	// AnnotationMaxNodes on a node pool, a WarmPool, or the kube-system Namespace is the highest node count.
	AnnotationMaxNodes = "forewarm.dev/max-nodes"
	// AnnotationCeilingMode on the same is enforce, warn or audit: only the first, the default, holds anybody to it.
	AnnotationCeilingMode = "forewarm.dev/ceiling-mode"
	// AnnotationCeilingOverride on a WarmPool lets it past every max-nodes, to a number and for a time, as in
	// "20 until 2026-12-01T00:00:00Z: load test".
	AnnotationCeilingOverride = "forewarm.dev/ceiling-override"

	// AnnotationMaxGPUs on a Namespace is the highest number of GPUs of its workloads.
	AnnotationMaxGPUs = "forewarm.dev/max-gpus"
	// AnnotationPool on a pod names its WarmPool; a user may write it, else admission does.
	AnnotationPool = "forewarm.dev/pool"
	// AnnotationGPUVendor on a pod is the vendor of the GPUs that it asks for: nvidia, amd, intel.
	AnnotationGPUVendor = "forewarm.dev/gpu-vendor"
	// AnnotationGPUCount on a pod is the number of GPUs that it asks for.
	AnnotationGPUCount = "forewarm.dev/gpu-count"
	// AnnotationGPUShape on a pod says what one of them is: whole, shared, the profile of a slice, or
	// the DeviceClass of a claim; several are separated by commas.
	AnnotationGPUShape = "forewarm.dev/gpu-shape"

	// AnnotationRequeued on a pod is the WarmPool, and its version, that stopped keeping the pod off
	// its nodes; the extender writes it so that the scheduler tries the pod again.
	AnnotationRequeued = "forewarm.dev/requeued"

	// AnnotationWaitingFor on a pending pod is the WarmPool whose nodes it waits for, and
	// AnnotationExpectedStart when it is expected to start, in RFC 3339, absent where it fits no node of it; the
	// reserver keeps both current until the pod is bound.
	AnnotationWaitingFor    = "forewarm.dev/waiting-for"
	AnnotationExpectedStart = "forewarm.dev/expected-start"

	// AnnotationRunClass on such a pod says how long it will use what it waits for, as far as that is known:
	// short-batch or sustained-service. The reserver writes it with these.
	AnnotationRunClass = "forewarm.dev/run-class"

	// ResourceManaged is asked for in quantity zero by pods that get their GPUs by claims alone, so
	// that the scheduler calls the extender for them. No node offers it, and nobody uses it up.
	ResourceManaged = "forewarm.dev/managed"

	// LabelPool on a placeholder pod, a DemandHistory and a ForecastModel names its WarmPool.
	LabelPool = "forewarm.dev/pool"
	// LabelChunk on a placeholder pod, a DemandHistory and a ForecastModel names the chunk of the WarmPool.
	LabelChunk = "forewarm.dev/chunk"

	// AnnotationPricePerHour on a node is what it costs per hour, as a decimal number.
	AnnotationPricePerHour = "forewarm.dev/price-per-hour"

	// LabelCalled is "true" on a DemandEvent that a signed call has declared.
	LabelCalled = "forewarm.dev/called"

	// AnnotationUngatedAt on a placeholder pod is when the reserver removed its gate, in RFC 3339.
	AnnotationUngatedAt = "forewarm.dev/ungated-at"

	// LabelTotals on a Namespace that carries a total is TotalsEnforced or TotalsTold, by its mode. The webhook
	// writes it, and a policy lets nobody else but who may set ceilings.
	LabelTotals = "forewarm.dev/totals"
	// TotalsEnforced is of a Namespace in which growth is refused while no webhook answers.
	TotalsEnforced = "true"
	// TotalsTold is of one of the mode warn or audit, in which nothing is refused.
	TotalsTold = "told"

	// AnnotationCritical, "true" on a pod, lets it be evicted from a node that is about to be taken away
	// only once room for it stands elsewhere, or the notice is over.
	AnnotationCritical = "forewarm.dev/critical"
	// AnnotationInterruptedAt on a node that Forewarm has cordoned is when it was seen to be about to be
	// taken away, in RFC 3339, and "cordoned by others" where it was cordoned before.
	AnnotationInterruptedAt = "forewarm.dev/interrupted-at"
	// GatePrewarm is the scheduling gate that every placeholder pod is born with; only the reserver removes it.
	GatePrewarm = "forewarm.dev/prewarm"
	// PlaceholderPriorityClass is the PriorityClass of placeholder pods of tier 0.
	PlaceholderPriorityClass = "forewarm-placeholder"

	// SystemNamespace holds Forewarm's own processes and leases.
	SystemNamespace = "forewarm-system"
	// DisarmedConfigMap is in SystemNamespace while Forewarm is out of admission.
	DisarmedConfigMap = "forewarm-disarmed"
	// PlaceholderNamespace holds the placeholder pods.
	PlaceholderNamespace = "forewarm-placeholders"
)

// Condition types of a WarmPool.
const (
	// ConditionReady is true when the reserved placeholders reach the wanted number in every chunk.
	ConditionReady = "Ready"
	// ConditionForecasting is true when every chunk is sized from a forecast made of its own history.
	ConditionForecasting = "Forecasting"
	// ConditionLimited is true when a limit keeps the pool from wanting as much as it would; its reason is the
	// first limit that bit, its message says how many of how many, and which field lifts it.
	ConditionLimited = "Limited"
	// ConditionStockOut is true while the pool gets no nodes: it is asked for none, or for one to see.
	ConditionStockOut = "StockOut"
	// ConditionInfeasible is true when the pool selects no node and no node pool, or a chunk fits none of them.
	ConditionInfeasible = "Infeasible"
	// ConditionPricesUnreadable is true while prices of nodes are configured, or written on a node, and cannot be
	// read; the last good ones are used meanwhile.
	ConditionPricesUnreadable = "PricesUnreadable"
	// ConditionFutureUnreadable is true while it cannot be read what is known to start (CronJobs, Kueue's Workloads);
	// what was known last counts for an hour.
	ConditionFutureUnreadable = "FutureUnreadable"
	// ConditionConflict is true when an older WarmPool selects one of this pool's nodes; the pool is frozen meanwhile.
	ConditionConflict = "Conflict"
)

// ConditionAboveCeiling of a Ledger is true while more stands than a total allows, and of a WarmPool
// while more nodes stand than one of its ceilings allows.
const ConditionAboveCeiling = "AboveCeiling"

// Reasons of conditions and events.
const (
	// ReasonPriceSourceFailed says that a source of prices, or the price on a node, could not be read.
	ReasonPriceSourceFailed = "PriceSourceFailed"
	// ReasonPricesRead says that all prices that there are could be read.
	ReasonPricesRead = "PricesRead"
	// ReasonFutureSourceFailed says that a kind of what is known to start could not be read.
	ReasonFutureSourceFailed = "FutureSourceFailed"
	// ReasonFutureRead says that all that is known to start could be read.
	ReasonFutureRead = "FutureRead"
	// ReasonReserved says that all wanted placeholders hold capacity.
	ReasonReserved = "Reserved"
	// ReasonWaitingForNodes says that ungated placeholders wait for nodes.
	ReasonWaitingForNodes = "WaitingForNodes"
	// ReasonObserving says that the pool is in mode Observe, in which nothing is changed.
	ReasonObserving = "Observing"
	// ReasonWaitingForApproval says that placeholders stand gated until a CapacityPlan is approved.
	ReasonWaitingForApproval = "WaitingForApproval"
	// ReasonHeldStill says that nothing changes because something the plan needs is missing or wrong.
	ReasonHeldStill = "HeldStill"
	// ReasonHistory says that every chunk has enough history to forecast from.
	ReasonHistory = "EnoughHistory"
	// ReasonColdStart says that a chunk has too little history, so that a fallback sizes it.
	ReasonColdStart = "ColdStart"
	// ReasonWithinLimits says that no limit keeps the pool from what it wants.
	ReasonWithinLimits = "WithinLimits"
	// ReasonSelectsNothing says that no node and no node pool match spec.nodes.selector.
	ReasonSelectsNothing = "SelectsNothing"
	// ReasonChunkTooLarge says that a chunk's requests exceed every node of the pool.
	ReasonChunkTooLarge = "ChunkTooLarge"
	// ReasonFeasible says that the pool selects something and that each chunk fits it, as far as can be told.
	ReasonFeasible = "Feasible"
	// ReasonOverlap says that two WarmPools select the same node.
	ReasonOverlap = "Overlap"
	// ReasonNoOverlap says that no other WarmPool selects a node of this one.
	ReasonNoOverlap = "NoOverlap"
	// ReasonNodesOverdue says that a node has not come within the lead time's 95th percentile; it is an event too.
	ReasonNodesOverdue = "NodesOverdue"
	// ReasonTryingOneNode says that one node is asked for again, to see whether it comes.
	ReasonTryingOneNode = "TryingOneNode"
	// ReasonNodesCome says that the pool gets nodes; it is an event too, where it has not before.
	ReasonNodesCome = "NodesCome"
	// ReasonNodeGoes is the event of a pod that is evicted since its node is about to be taken away.
	ReasonNodeGoes = "NodeGoes"
	// ReasonPlanApplied is the event of a plan that changed placeholders.
	ReasonPlanApplied = "PlanApplied"
	// ReasonTakenOver is the event of placeholders that were deleted for a pod that cannot preempt them.
	ReasonTakenOver = "TakenOver"
	// ReasonWaitingForPool is the event of a pod that waits for a node of a WarmPool.
	ReasonWaitingForPool = "WaitingForPool"
	// ReasonFitsNoNode is the event of a pod of a WarmPool that fits no node of it, whatever ends there.
	ReasonFitsNoNode = "FitsNoNode"
	// ReasonPlanFailed is the event of a plan that could not be applied whole.
	ReasonPlanFailed = "PlanFailed"
	// ReasonForecastPromoted is the event of a ForecastModel version that replaces the one in use.
	ReasonForecastPromoted = "ForecastPromoted"
	// ReasonForecastRolledBack is the event of a version that erred more than the one before it, which is back in use.
	ReasonForecastRolledBack = "ForecastRolledBack"
	// ReasonForecastDegraded is the event of a forecast that errs more than it did in its trial.
	ReasonForecastDegraded = "ForecastDegraded"
	// ReasonConfigurationRestored is the event of a webhook configuration that somebody had changed.
	ReasonConfigurationRestored = "ConfigurationRestored"
	// ReasonStandsAboveCeiling is the event of an object that asks for more than its ceiling, and of a
	// holder of a total of which more stands than that allows.
	ReasonStandsAboveCeiling = "StandsAboveCeiling"
	// ReasonCeilingUnreadable is the event of an annotation that sets a ceiling and cannot be read.
	ReasonCeilingUnreadable = "CeilingUnreadable"
	// ReasonLimitGenerated is the event of a NodePool whose spec.limits.nodes was made to follow its ceiling.
	ReasonLimitGenerated = "LimitGenerated"
	// ReasonWithinCeiling says that no more stands than is allowed.
	ReasonWithinCeiling = "WithinCeiling"
)
