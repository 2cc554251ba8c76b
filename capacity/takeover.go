package capacity

import (
	"cmp"
	"slices"

	"forewarm.dev/internal/quantity"
)

// HeldNode is a node that a pod may run on, and the placeholders there.
type HeldNode struct {
	// Name is the node's name.
	Name string
	// Room is what is free beside all pods, placeholders too.
	Room quantity.Vector
	// Held are the placeholders that may give way.
	Held []HeldChunk
}

// HeldChunk is a placeholder that may give way.
type HeldChunk struct {
	// Pod is its name.
	Pod string
	// Requests is what it holds.
	Requests quantity.Vector
	// Priority is its priority, the lowest there is for one that every pod may take; those of the lowest
	// give way first.
	Priority int32
	// Cost is what one idle hour of it costs: the value of what is given up.
	Cost float64
}

// TakeOver names the placeholders of one node that give way, so that a pod fits there: those of the
// lowest priority, then the cheapest together, then the fewest. None where the pod fits on a node as it
// is, and none where it fits nowhere even so. Only placeholders of a priority below the pod's go.
func TakeOver(requests quantity.Vector, priority int32, nodes []HeldNode) (node string, pods []string) {
	var best price
	for _, n := range nodes {
		if requests.FitsIn(n.Room) {
			return "", nil
		}
		victims, p := n.victims(requests, priority)
		if len(victims) > 0 && (len(pods) == 0 || cmp.Or(p.compare(best), cmp.Compare(len(victims), len(pods)), cmp.Compare(n.Name, node)) < 0) {
			node, pods, best = n.Name, victims, p
		}
	}
	return node, pods
}

// price is what placeholders are worth: the highest priority among them, and what they cost together.
type price struct {
	priority int32
	cost     float64
}

func (p price) compare(q price) int {
	return cmp.Or(cmp.Compare(p.priority, q.priority), cmp.Compare(p.cost, q.cost))
}

// victims are the placeholders that give way, as the scheduler chooses them: all that may go do, and those
// that the pod leaves room for come back, the highest priority and then the dearest first.
func (n HeldNode) victims(requests quantity.Vector, priority int32) (pods []string, worth price) {
	held := slices.DeleteFunc(slices.Clone(n.Held), func(chunk HeldChunk) bool { return chunk.Priority >= priority })
	room := n.all(priority)
	if !requests.FitsIn(room) {
		return nil, price{}
	}
	room = room.Minus(requests)
	slices.SortFunc(held, func(a, b HeldChunk) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.Cost, a.Cost), cmp.Compare(a.Pod, b.Pod))
	})
	for _, chunk := range held {
		if chunk.Requests.FitsIn(room) {
			room = room.Minus(chunk.Requests)
			continue
		}
		if len(pods) == 0 {
			worth.priority = chunk.Priority // they come in that order
		}
		pods = append(pods, chunk.Pod)
		worth.cost += chunk.Cost
	}
	return pods, worth
}
