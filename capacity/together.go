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
// left for others then, and fits whether they do.
func TakeOverTogether(groups []Group, nodes []HeldNode) (pods []string, left []HeldNode, fits bool) {
	left = slices.Clone(nodes)
	at := make(map[string]int, len(nodes))
	for i, n := range nodes {
		at[n.Name] = i
	}
	for _, group := range groups {
		best, found := group.best(left, at)
		if !found {
			return nil, nodes, false
		}
		pods = append(pods, best.pods...)
		for i, n := range best.changed {
			left[i] = n
		}
	}
	return pods, left, true
}

// best is the way that gives up the least, in the first choice with any. at is where nodes are, by name.
func (g Group) best(nodes []HeldNode, at map[string]int) (best fitting, found bool) {
	for _, choice := range g.Choices {
		for _, domain := range choice {
			f := fitting{nodes: nodes, changed: map[int]HeldNode{}}
			for _, name := range domain {
				if i, known := at[name]; known {
					f.within = append(f.within, i)
				}
			}
			if f.place(g) && (!found || f.compare(best) < 0) {
				best, found = f, true
			}
		}
		if found {
			break
		}
	}
	return best, found
}

// fitting is one way to run a group: the placeholders that give way, what they are worth, and the nodes within
// the domain, those that differ then apart.
type fitting struct {
	pods    []string
	worth   price
	nodes   []HeldNode
	within  []int
	changed map[int]HeldNode
}

func (f *fitting) compare(g fitting) int {
	if len(f.pods) == 0 || len(g.pods) == 0 {
		return cmp.Compare(len(f.pods), len(g.pods))
	}
	return cmp.Or(f.worth.compare(g.worth), cmp.Compare(len(f.pods), len(g.pods)))
}

// node is one as it is by then.
func (f *fitting) node(i int) HeldNode {
	if n, is := f.changed[i]; is {
		return n
	}
	return f.nodes[i]
}

// offer is what a node gives up for one pod more; nothing, where it has no such placeholders.
type offer struct {
	pods  []string
	worth price
}

func (o offer) compare(p offer) int {
	return cmp.Or(o.worth.compare(p.worth), cmp.Compare(len(o.pods), len(p.pods)))
}

// place has the pods run within the domain: where there is room, and then, one after the other, where the cheapest
// placeholders give way. It tells whether all do. What a node offers is worked out once, and again
// when the node has changed: there may be thousands.
func (f *fitting) place(g Group) bool {
	if !f.couldTake(g) {
		return false
	}
	left := g.Count
	for _, i := range f.within {
		left -= f.fill(i, g.Requests, left)
	}
	offers := make([]offer, len(f.within))
	if left > 0 {
		for k, i := range f.within {
			offers[k].pods, offers[k].worth = f.node(i).victims(g.Requests, g.Priority)
		}
	}
	for left > 0 {
		best := -1
		for k := range offers {
			if len(offers[k].pods) > 0 && (best < 0 || offers[k].compare(offers[best]) < 0) {
				best = k
			}
		}
		if best < 0 {
			return false
		}
		i := f.within[best]
		f.take(i, offers[best])
		left -= f.fill(i, g.Requests, left)
		offers[best].pods, offers[best].worth = f.node(i).victims(g.Requests, g.Priority)
	}
	return true
}

// couldTake tells whether as many pods would fit if all placeholders went that may: a cheap look beforehand.
func (f *fitting) couldTake(g Group) bool {
	most := int64(0)
	for _, i := range f.within {
		most += g.Requests.CountIn(f.node(i).all(g.Priority))
	}
	return most >= g.Count
}

// fill has as many pods as there is room for run on a node, and at most so many.
func (f *fitting) fill(i int, requests quantity.Vector, most int64) int64 {
	n := f.node(i)
	count := min(requests.CountIn(n.Room), most)
	if count > 0 {
		n.Room = n.Room.Minus(requests.Times(count))
		f.changed[i] = n
	}
	return count
}

// take has the placeholders of an offer give way.
func (f *fitting) take(i int, o offer) {
	n := f.node(i)
	gone := func(chunk HeldChunk) bool { return slices.Contains(o.pods, chunk.Pod) }
	for _, chunk := range n.Held {
		if gone(chunk) {
			n.Room = n.Room.Plus(chunk.Requests)
		}
	}
	n.Held = slices.DeleteFunc(slices.Clone(n.Held), gone)
	f.changed[i] = n
	if len(f.pods) == 0 || o.worth.priority > f.worth.priority {
		f.worth.priority = o.worth.priority
	}
	f.worth.cost += o.worth.cost
	f.pods = append(f.pods, o.pods...)
}
