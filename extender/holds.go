package extender

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/internal/quantity"
)

// Hold is what one pod is expected to take on one node, from the answer that sends it there
// until its binding is seen.
type Hold struct {
	Node     string
	Requests quantity.Vector
	// Version is the pod's resource version that was known at the answer; empty if none is.
	Version string
	// Nominated holds are what the pod's own status says; all others are what we expect.
	Nominated bool
	// Expires is when the hold is worth nothing any more, whatever has become of the pod.
	Expires time.Time
}

// Holds are tentative holds by pod UID: at most one for each pod.
type Holds struct {
	byPod map[types.UID]Hold
	// on is the sum per node.
	on map[string]quantity.Vector
}

// Put sets the hold of a pod; one that it had is gone.
func (h *Holds) Put(pod types.UID, hold Hold) {
	h.Drop(pod)
	if h.byPod == nil {
		h.byPod, h.on = map[types.UID]Hold{}, map[string]quantity.Vector{}
	}
	h.byPod[pod] = hold
	h.on[hold.Node] = h.on[hold.Node].Plus(hold.Requests)
}

// Drop removes the hold of a pod, and tells on which node it was; empty if it had none.
func (h *Holds) Drop(pod types.UID) string {
	hold, ok := h.byPod[pod]
	if !ok {
		return ""
	}
	delete(h.byPod, pod)
	rest := h.on[hold.Node].Minus(hold.Requests)
	maps.DeleteFunc(rest, func(_ corev1.ResourceName, amount int64) bool { return amount == 0 })
	if len(rest) == 0 {
		delete(h.on, hold.Node)
	} else {
		h.on[hold.Node] = rest
	}
	return hold.Node
}

// Expired are the pods whose holds have run out.
func (h *Holds) Expired(now time.Time) []types.UID {
	var out []types.UID
	for pod, hold := range h.byPod {
		if now.After(hold.Expires) {
			out = append(out, pod)
		}
	}
	slices.Sort(out)
	return out
}

// Pods are the pods that have a hold, in order.
func (h *Holds) Pods() []types.UID { return slices.Sorted(maps.Keys(h.byPod)) }

// Of is the hold of a pod.
func (h *Holds) Of(pod types.UID) (Hold, bool) {
	hold, ok := h.byPod[pod]
	return hold, ok
}

// On is the sum of the holds on a node.
func (h *Holds) On(node string) quantity.Vector { return h.on[node] }

// Len is how many there are.
func (h *Holds) Len() int { return len(h.byPod) }
