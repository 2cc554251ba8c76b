package webhook

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// Object names an object in messages.
type Object struct {
	// Kind is the kind, such as Deployment, or resource.group where the kind is not known.
	Kind string
	// Namespace is empty for an object of the cluster.
	Namespace string
	// Name may be empty for a pod whose name is still to be generated.
	Name string
}

// String is "Kind namespace/name", or "Kind name" for an object of the cluster.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// Setting is an annotation that sets a ceiling, as it stands on one object.
type Setting struct {
	// On is the object that carries the annotation.
	On Object
	// Annotation is its key.
	Annotation string
	// Set is false where the object has no such annotation.
	Set bool
	// Value is the raw value, which may be malformed.
	Value string
	// LastGood is the last well-formed value that was seen on this object, nil if none is
	// known. It counts while Value is malformed.
	LastGood *string
}

// Change is one number before and after a write.
type Change struct {
	// Field is where it stands in the object.
	Field string
	// New is the number asked for, Old the one before, 0 on create.
	New, Old int64
}

// Owner is the controller of an object, read from the API server.
type Owner struct {
	Object Object
	// Bound is the highest count that it gives the object: its own count and surge.
	Bound int64
}

// Request is one write. Numbers are absolute; a write of a Namespace has none.
type Request struct {
	// Object is what is written: for /scale the parent.
	Object Object
	// Create is true when the object is new.
	Create bool
	// Measure is what Counts count.
	Measure Measure
	// Counts are the numbers asked for, each held to the ceiling on its own.
	Counts []Change
	// Scaled is what is written to a /scale by which the count is only in part told, nil for all others.
	Scaled *Change
	// Workload is the object whose ceiling counts: Object, or what an autoscaler's object
	// points to.
	Workload Object
	// For is what the workload is made for, whose ceiling binds it too; without a name there is none.
	For Object
	// Own is the annotation on the workload as written; on /scale, as it stands.
	Own Setting
	// OldOwn is the annotation on the workload before the write.
	OldOwn Setting
	// Above are the annotations that bind from above: of the Namespace, then of the cluster.
	Above []Setting
	// Rewritten are the annotations of [Written] that this write sets, changes or removes.
	Rewritten map[string]Rewrite
	// May are the verbs that the writer is known to have; one that is missing was not asked for.
	May map[Verb]bool
	// Override is the workload's [CeilingOverride], as written, or on /scale as it stands.
	Override Setting
	// Now is when the write is made.
	Now time.Time
	// Mode is what happens above the ceiling; empty means [Enforce].
	Mode Mode
	// Owner answers for the object; nil where nobody does, or where it was not asked.
	Owner *Owner
	// Standing is the count that the workload of an autoscaler's object has already: to let the
	// autoscaler have so many is no growth. 0 where it was not asked for.
	Standing int64
	// Autoscaler is true where the writer is an autoscaler.
	Autoscaler bool
	// Instances are the instance types of the node pool or NodeClaim that is written, nil for
	// everything else.
	Instances *Instances
	// ClampedFrom is what an autoscaler asked for before the twin clamped it, 0 where it did not.
	ClampedFrom int64
	// Left is what a total leaves the workload, for [Clamps]; nil where none is known to bind it.
	Left *Left
	// Bounds are those of the HPA that is written, for [Clamps]; nil for everything else.
	Bounds *Bounds

	// Pod is the pod to create, nil for everything else.
	Pod *corev1.Pod
	// NamespaceLabels are the labels of the pod's Namespace.
	NamespaceLabels map[string]string
	// Claims are those that the pod names, of [ClaimsOf].
	Claims Claims
	// MarkClaims has pods that get their GPUs by claims alone name [Managed].
	MarkClaims bool
	// Pools are the cluster's WarmPools, in any order.
	Pools []Pool
}

// Verdict is the outcome of a review.
type Verdict string

// Verdicts.
const (
	Allow Verdict = "Allow"
	Deny  Verdict = "Deny"
)

// Reason says in one word why. It appears unchanged in metrics, audit annotations and docs.
type Reason string

// Reasons of a decision about a workload or a Namespace.
const (
	// ReasonOwned lets an object above the ceiling through that its controller, which is held
	// to the ceiling itself, asked for: a rollout of an owner that stands above it must not
	// stall.
	ReasonOwned Reason = "OwnedByController"
	// ReasonMalformed refuses a ceiling that is no number.
	ReasonMalformed Reason = "MalformedAnnotation"
	// ReasonNotPermitted refuses to loosen a ceiling to somebody who may not.
	ReasonNotPermitted Reason = "NotPermitted"
	// ReasonOverridden lets a growth through that an override allows.
	ReasonOverridden Reason = "Overridden"
	// ReasonNotGrowing lets a write through that asks for no more than there is.
	ReasonNotGrowing Reason = "NotGrowing"
	// ReasonNoCeiling lets a growth through that nothing binds.
	ReasonNoCeiling Reason = "NoCeiling"
	// ReasonWithinCeiling lets a growth through that stays within every ceiling.
	ReasonWithinCeiling Reason = "WithinCeiling"
	// ReasonAboveCeiling refuses a growth, or tells of it in the modes warn and audit.
	ReasonAboveCeiling Reason = "AboveCeiling"
	// ReasonUnapprovedInstanceType refuses nodes of an instance type that is not approved.
	ReasonUnapprovedInstanceType Reason = "UnapprovedInstanceType"
	// ReasonClamped gives an autoscaler the ceiling instead of what it asks for.
	ReasonClamped Reason = "Clamped"
	// ReasonRestored gives an HPA the maxReplicas back that a ceiling had lowered.
	ReasonRestored Reason = "Restored"
)

// Reasons of a decision about a pod, which is never refused.
const (
	// ReasonMirrorPod leaves a static pod's mirror alone, since it must equal its file.
	ReasonMirrorPod Reason = "MirrorPod"
	// ReasonPlaceholder leaves Forewarm's own pods alone.
	ReasonPlaceholder Reason = "Placeholder"
	// ReasonNothingToDo leaves a pod alone that already says what it should.
	ReasonNothingToDo Reason = "NothingToDo"
	// ReasonAnnotated patches a pod.
	ReasonAnnotated Reason = "Annotated"
)

// Decision is the outcome of a review.
type Decision struct {
	Verdict Verdict
	Reason  Reason
	// Message tells a person what to do about a denial; empty when allowed.
	Message string
	// Needs is the verb without which the write is refused, where that is the reason.
	Needs Verb
	// Audit is what the audit log keeps beside the reason.
	Audit map[string]string
	// Warnings are shown to the person who wrote, whatever the verdict.
	Warnings []string
	// Patch is what to change, in order; empty for nothing.
	Patch []Operation
}

// HoldsBack says whether the writer gets less than what was asked for.
func (d Decision) HoldsBack() bool {
	return d.Verdict == Deny || d.Reason == ReasonClamped
}

// draft is a decision in the making.
type draft struct {
	decision    Decision
	annotations map[string]string
	tolerations []corev1.Toleration
	preference  *corev1.PreferredSchedulingTerm
	// claimsOnly is true where the pod gets GPUs, and all of them by claims; marks have it name
	// [Managed].
	claimsOnly bool
	marks      []Operation
	// asked is what the pod asks for, and pool the one that takes it, nil for none.
	asked quantity.Vector
	pool  *Pool
}

// finish settles the verdict. It returns true, so that a check can return it.
func (d *draft) finish(verdict Verdict, reason Reason, message string) bool {
	d.decision.Verdict, d.decision.Reason, d.decision.Message = verdict, reason, message
	return true
}

func (d *draft) warn(message string) {
	d.decision.Warnings = append(d.decision.Warnings, message)
}

// Check looks at one side of a request.
type Check struct {
	// Name is the check's name, for people.
	Name string
	// Why says in one line what the check is for.
	Why string
	// review adds to the draft; it returns true when the verdict is settled.
	review func(Request, *draft) bool
}

// Chain is checks in their order. The last one settles the verdict.
type Chain []Check

// Ceilings reviews writes of workloads, of their scale, and of Namespaces.
func Ceilings() Chain {
	return Chain{
		{"owned", "what a controller asks for within its own count never blocks a rollout", owned},
		{"malformed", "a ceiling that cannot be read is refused where it is written", malformed},
		{"access", "only those who may loosen a ceiling", access},
		{"instances", "nodes are of approved instance types", instances},
		{"not growing", "decreases and unrelated edits always pass", notGrowing},
		{"override", "an override replaces every ceiling until it ends", override},
		{"ceiling", "growth stays under the smallest ceiling", ceiling},
	}
}

// Pods reviews the creation of pods.
func Pods() Chain {
	return Chain{
		{"untouched", "mirror pods and placeholders are left alone", untouched},
		{"gpu", "a pod says whose GPUs it asks for, and how many", gpu},
		{"mark", "a pod that gets its GPUs by claims alone is seen by the extender", mark},
		{"pool", "a pod says which WarmPool it belongs to", pool},
		{"warm", "a pod prefers capacity that stands ready for it", warm},
		{"patch", "only what is missing is written", patch},
	}
}

// Review decides about a request. It does not change it.
func (c Chain) Review(r Request) Decision {
	d := draft{}
	for _, check := range c {
		if check.review(r, &d) {
			break
		}
	}
	return d.decision
}
