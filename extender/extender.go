// Package extender decides where pods go that ask for what WarmPools keep warm: which
// nodes they may take, which is best, and which placeholder pods make room. It is pure: a
// function of a pod, nodes, and what is held for whom.
package extender

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/internal/quantity"
)

// Pod is the pod to be placed.
type Pod struct {
	// Requests is what the scheduler reserves for it.
	Requests quantity.Vector
	// Classes are the WarmPools whose demand class it belongs to.
	Classes []string
	// Exempt pods, of DaemonSets and of system namespaces, are never kept off a node.
	Exempt bool
}

// Node is a node that the scheduler finds fit.
type Node struct {
	Name string
	// Pool is the WarmPool that the node belongs to; empty if none.
	Pool string
	// Allocatable is what the node offers.
	Allocatable quantity.Vector
	// Real is what pods other than placeholders request on it.
	Real quantity.Vector
	// Placeholders is what placeholder pods request on it.
	Placeholders quantity.Vector
	// Leaving nodes are about to be taken away.
	Leaving bool
}

// Held is capacity kept warm for the demand class of a pool while its owners are expected.
type Held struct {
	// Pool is the WarmPool's name.
	Pool string
	// Resource is what its demand class asks for.
	Resource corev1.ResourceName
}

// Verdict is the answer for one node.
type Verdict struct {
	// Node is the node's name.
	Node string
	// Reason is empty for a node that the pod may take.
	Reason Reason
	// Message says why not, for the pod's events.
	Message string
}

// Reason says in one word why a node is refused.
type Reason string

// ReasonHeldForOthers refuses a node whose free capacity is kept warm for another demand
// class. Waiting helps, preempting somebody there does not.
const ReasonHeldForOthers Reason = "HeldForOthers"

// Victims are the pods that the scheduler would delete on one node.
type Victims struct {
	Pods []Victim
	// PDBViolations is the scheduler's own count, kept as given.
	PDBViolations int64
}

// Victim is one pod that would be deleted.
type Victim struct {
	UID types.UID
	// Pool is the WarmPool of a placeholder pod; empty for any other pod.
	Pool string
	// Requests is what the pod holds.
	Requests quantity.Vector
}
