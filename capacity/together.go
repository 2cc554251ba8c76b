package capacity

import (
	"cmp"
	"slices"

	"forewarm.dev/internal/quantity"
)

// Group are pods alike that start together.
type Group struct {
	// Requests is what one of them takes, and Count how many there are.
	Requests quantity.Vector
	Count    int64
	// Priority is theirs: they take no placeholder whose is not below it.
	Priority int32
	// Choices are where they may run, each a list of domains, which are names of nodes; all run within one
	// domain. A later choice counts only where no domain of those before has room.
	Choices [][][]string
}

// TakeOverTogether names the placeholders that give way so that all pods of all groups fit at the same time;
// none where they fit as it is, and none where they do not fit even so. Of the domains of a choice that
// is taken which gives up the least: the lowest priority, then the cheapest, then the fewest. left is what is
// left for others then.
func TakeOverTogether(groups []Group, nodes []HeldNode) (pods []string, left []HeldNode) {
	left = nodes
	for _, group := range groups {
		best, found := fitting{}, false
		for _, choice := range group.Choices {
			for _, domain := range choice {
				f, ok := group.fit(domain, left)
				if ok && (!found || f.compare(best) < 0) {
					best, found = f, true
				}
			}
			if found {
				break
			}
		}
		if !found {
			return nil, nodes
		}
		left, pods = best.nodes, append(pods, best.pods...)
	}
	return pods, left
}

// fitting is one way to run a group: the placeholders that give way, what they are worth, and the nodes then.
type fitting struct {
	pods  []string
	worth price
	nodes []HeldNode
}

func (f fitting) compare(g fitting) int {
	switch {
	case len(f.pods) == 0 || len(g.pods) == 0:
		return cmp.Compare(len(f.pods), len(g.pods))
	default:
		return cmp.Or(f.worth.compare(g.worth), cmp.Compare(len(f.pods), len(g.pods)))
	}
}

// fit places the pods within a domain one after the other: where there is room, else where the cheapest
// placeholders give way.
func (g Group) fit(domain []string, nodes []HeldNode) (f fitting, ok bool) {
	f.nodes = slices.Clone(nodes)
	var within []int
	for i := range f.nodes {
		if slices.Contains(domain, f.nodes[i].Name) {
			within = append(within, i)
		}
	}
	for range g.Count {
		if at := slices.IndexFunc(within, func(i int) bool { return g.Requests.FitsIn(f.nodes[i].Room) }); at >= 0 {
			n := &f.nodes[within[at]]
			n.Room = n.Room.Minus(g.Requests)
			continue
		}
		best, worth, victims := -1, price{}, []string(nil)
		for _, i := range within {
			pods, p := f.nodes[i].victims(g.Requests, g.Priority)
			if len(pods) > 0 && (best < 0 || cmp.Or(p.compare(worth), cmp.Compare(len(pods), len(victims))) < 0) {
				best, worth, victims = i, p, pods
			}
		}
		if best < 0 {
			return f, false
		}
		f.take(best, victims, worth, g.Requests)
	}
	return f, true
}

// take has placeholders of a node give way to a pod.
func (f *fitting) take(at int, victims []string, worth price, requests quantity.Vector) {
	n := &f.nodes[at]
	gone := func(chunk HeldChunk) bool { return slices.Contains(victims, chunk.Pod) }
	for _, chunk := range n.Held {
		if gone(chunk) {
			n.Room = n.Room.Plus(chunk.Requests)
		}
	}
	n.Room = n.Room.Minus(requests)
	n.Held = slices.DeleteFunc(slices.Clone(n.Held), gone)
	if len(f.pods) == 0 || worth.priority > f.worth.priority {
		f.worth.priority = worth.priority
	}
	f.worth.cost += worth.cost
	f.pods = append(f.pods, victims...)
}
