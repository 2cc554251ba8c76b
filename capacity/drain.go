package capacity

import (
	"slices"
	"time"

	"forewarm.dev/internal/quantity"
)

// GoingPod is a real pod on a node that is about to be taken away.
type GoingPod struct {
	// Name names it, for the answer.
	Name string
	// Requests is what it takes elsewhere.
	Requests quantity.Vector
	// Priority is its priority: it takes no placeholder whose is not below it.
	Priority int32
	// Critical pods go only once a replacement of their room stands.
	Critical bool
	// Deadline is when it must go at the latest to end in peace before its node does; zero for none.
	Deadline time.Time
	// MayRun tells whether it may run on a node.
	MayRun func(node string) bool
}

// Eviction is a pod that is to be evicted.
type Eviction struct {
	Pod GoingPod
	// Node is where room for it stands; empty where none is needed, or where there is no time to wait
	// for any.
	Node string
}

// Evict tells which pods go now: those that are not critical at once, critical ones when a node that
// stays has room for them, free or held by placeholders, or when there is no time left. No room is
// promised twice. Critical pods come first, in the order given.
func Evict(pods []GoingPod, nodes []HeldNode, now time.Time) []Eviction {
	nodes = slices.Clone(nodes)
	var evictions, others []Eviction
	for _, pod := range pods {
		if !pod.Critical {
			others = append(others, Eviction{Pod: pod})
			continue
		}
		at := slices.IndexFunc(nodes, func(n HeldNode) bool { return pod.MayRun(n.Name) && pod.Requests.FitsIn(n.all(pod.Priority)) })
		switch {
		case at >= 0:
			nodes[at].Room = nodes[at].Room.Minus(pod.Requests)
			evictions = append(evictions, Eviction{pod, nodes[at].Name})
		case !pod.Deadline.IsZero() && !now.Before(pod.Deadline):
			evictions = append(evictions, Eviction{Pod: pod})
		}
	}
	return append(evictions, others...)
}

// all is the room on a node, with that of the placeholders that a pod of a priority may take.
func (n HeldNode) all(priority int32) quantity.Vector {
	room := n.Room
	for _, chunk := range n.Held {
		if chunk.Priority < priority {
			room = room.Plus(chunk.Requests)
		}
	}
	return room
}
