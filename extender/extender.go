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
	UID types.UID
	// Requests is what the scheduler reserves for it, and what its claims ask for.
	Requests quantity.Vector
	// Classes are the WarmPools whose demand class it belongs to.
	Classes []string
	// Exempt pods, of DaemonSets and of system namespaces, are never kept off a node.
	Exempt bool
	// Nominated is the node on which the scheduler has made room for it; empty for most.
	Nominated string
	// Priority is its priority; it may have pods of a lower one deleted.
	Priority int32
	// Plain pods fit wherever their requests fit: they have no host port, and no rule about
	// the pods around them.
	Plain bool
	// Placeholder tells that it is one of ours.
	Placeholder bool
	// Waited tells that it has waited for room that comes for as long as it is to.
	Waited bool
}

// Node is a node that the scheduler finds fit, or could make fit.
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
	// Tentative is what pods request that are expected on it and not bound yet.
	Tentative quantity.Vector
	// Cleared is what room was made for ahead, for pods that are not bound yet.
	Cleared quantity.Vector
	// Leaving nodes are about to be taken away.
	Leaving bool
	// Domain is what the node shares a fast network with: an NVLink clique, a block, a rack;
	// empty if its labels say nothing.
	Domain string
	// Shares is into how many parts each of its GPUs is sliced by time; zero means one.
	Shares int64
	// Stand are the placeholder pods on it.
	Stand []Victim
	// Settling nodes have just lost a placeholder that was taken, which the scheduler may not
	// have seen yet.
	Settling bool
}

// amounts are what a node has of one resource, looked up once: that is most of what a score costs.
type amounts struct{ offered, real, placeholders, tentative int64 }

func (n *Node) of(name corev1.ResourceName) amounts {
	return amounts{n.Allocatable[name], n.Real[name], n.Placeholders[name], n.Tentative[name]}
}

// left is what is left; negative where more is expected than fits.
func (a amounts) left() int64 { return a.offered - a.real - a.placeholders - a.tentative }

// whole tells whether nobody works, or is about to, on what there is.
func (a amounts) whole() bool { return a.real <= 0 && a.tentative <= 0 }

// left is what is left of a resource; negative where more is expected than fits.
func (n *Node) left(name corev1.ResourceName) int64 { return n.of(name).left() }

// going is what placeholders hold of a resource that have been given to others.
func (n *Node) going(name corev1.ResourceName) (sum int64) {
	for i := range n.Stand {
		if n.Stand[i].Taken {
			sum += n.Stand[i].Requests[name]
		}
	}
	return sum
}

// fits tells whether all that a pod asks for is left.
func (n *Node) fits(pod *Pod) bool {
	for name, amount := range pod.Requests {
		if amount > 0 && amount > n.left(name) {
			return false
		}
	}
	return true
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
	// Reason is empty for a node that the pod may take.
	Reason Reason
	// Message says why not, for the pod's events.
	Message string
}

// Refuses tells whether the pod may not take the node.
func (v Verdict) Refuses() bool { return v.Reason != "" }

// Reason says in one word why a node is refused.
type Reason string

const (
	// ReasonHeldForOthers refuses a node whose free capacity is kept warm for another demand
	// class. Waiting helps, preempting somebody there does not.
	ReasonHeldForOthers Reason = "HeldForOthers"
	// ReasonClearedForOthers refuses a placeholder the room that others have just given up for a
	// pod.
	ReasonClearedForOthers Reason = "ClearedForOthers"
)

// Candidate is a node on which the scheduler could make room by deleting pods.
type Candidate struct {
	// Node is the node; nil if it is not known.
	Node *Node
	Victims
}

// Victims are the pods that would be deleted on one node.
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
	// Priority is the pod's priority.
	Priority int32
	// Taken placeholders have been given to another pod, and are about to be deleted.
	Taken bool
	// Going placeholders are being deleted by the extender itself.
	Going bool
	// Needed victims have to go for more than what they hold: they keep the pod away, or they and
	// the pod have volumes that tie to a node, of which it may take no more.
	Needed bool
}
