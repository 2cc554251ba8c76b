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
	// Cost is what one idle hour of it costs: the value of what is given up.
	Cost float64
}

// TakeOver names the placeholders of one node that give way, so that a pod fits there: the cheapest
// together, then the fewest. None where the pod fits on a node as it is, and none where it fits
// nowhere even so.
func TakeOver(requests quantity.Vector, nodes []HeldNode) (node string, pods []string) {
	best := -1.0
	for _, n := range nodes {
		if requests.FitsIn(n.Room) {
			return "", nil
		}
		victims, cost := n.victims(requests)
		better := best < 0 || cost < best || cost == best && (len(victims) < len(pods) || len(victims) == len(pods) && n.Name < node)
		if len(victims) > 0 && better {
			node, pods, best = n.Name, victims, cost
		}
	}
	return node, pods
}

// victims are the cheapest placeholders, as the scheduler chooses them: all go, and those that the
// pod leaves room for come back, the dearest first.
func (n HeldNode) victims(requests quantity.Vector) (pods []string, cost float64) {
	room := n.all()
	if !requests.FitsIn(room) {
		return nil, 0
	}
	room = room.Minus(requests)
	held := slices.SortedFunc(slices.Values(n.Held), func(a, b HeldChunk) int {
		return cmp.Or(cmp.Compare(b.Cost, a.Cost), cmp.Compare(a.Pod, b.Pod))
	})
	for _, chunk := range held {
		if chunk.Requests.FitsIn(room) {
			room = room.Minus(chunk.Requests)
			continue
		}
		pods = append(pods, chunk.Pod)
		cost += chunk.Cost
	}
	return pods, cost
}
