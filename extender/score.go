package extender

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// Scores. Only one node gets MaxScore, so that among equals the same one is taken again and
// again, whatever the scheduler's own dice say; the next best is two points behind, which is
// more than the scheduler's own scores of resources can make up for.
const (
	MaxScore = 10
	nextBest = 8
	worst    = 1
)

// preference compares two nodes for a pod; below zero means that the first is better.
type preference func(t *task, a, b option) int

// option is a node with what the preferences compare, worked out once.
type option struct {
	node *Node
	// over tells that the pod does not fit beside those that are expected there.
	over bool
	// breaks tells whether a whole node would be one no more.
	breaks bool
	// left is how many GPUs, in whole ones and rounded up, are free once the pod is there; free is
	// how many are now, in shares of one.
	left, free int64
}

// preferences in their order: the first that tells two nodes apart decides.
var preferences = []preference{
	keepRoom,  // what others are expected to take is theirs
	keepWhole, // a node that nobody works on stays whole for whole-node jobs
	bestFit,   // the node that is left with the least
	keepNear,  // the rack or NVLink domain that is left with the fewest whole nodes
	byName,    // and the same one each time
}

// task is a pod with what the preferences need to know of it and of all nodes.
type task struct {
	scarce corev1.ResourceName
	asks   int64
	// whole are the whole nodes per domain.
	whole map[string]int
}

// Score rates each node from 0 to MaxScore, in the order given: leaving nodes and those without
// what the pod asks for zero, the best one MaxScore, all others by how little they are left with.
func Score(pod *Pod, nodes []*Node, held []Held) []int64 {
	scores := make([]int64, len(nodes))
	t := task{scarce: scarceResource(pod, held)}
	if t.scarce == "" {
		return scores
	}
	t.asks = pod.Requests[t.scarce]
	t.whole = wholeNodes(nodes, t.scarce)
	best, at := option{}, -1
	for i, node := range nodes {
		has := node.of(t.scarce)
		if node.Leaving || has.offered <= 0 {
			continue
		}
		o := t.option(node, has)
		scores[i] = o.level()
		if at < 0 || t.compare(o, best) < 0 {
			best, at = o, i
		}
	}
	if at >= 0 {
		scores[at] = MaxScore
	}
	return scores
}

func (t *task) option(node *Node, has amounts) option {
	free, shares := max(has.left(), 0), max(node.Shares, 1)
	return option{
		node: node, free: free, left: (max(free-t.asks, 0) + shares - 1) / shares, over: t.over(node, has),
		breaks: has.whole() && t.asks < has.offered,
	}
}

func (t *task) compare(a, b option) int {
	for _, prefer := range preferences {
		if c := prefer(t, a, b); c != 0 {
			return c
		}
	}
	return 0
}

// level is the score of a node that is not the best: by its GPUs left, in whole ones, and the
// worst for a node that would no longer be whole, or that others are expected on.
func (o option) level() int64 {
	if o.breaks || o.over {
		return worst
	}
	return max(nextBest-o.left, worst+1)
}

// scarceResource is what decides where the pod goes: what its demand class asks for, else
// the first extended resource by name that the pod asks for.
func scarceResource(pod *Pod, held []Held) corev1.ResourceName {
	for _, h := range held {
		if slices.Contains(pod.Classes, h.Pool) && pod.Requests[h.Resource] > 0 {
			return h.Resource
		}
	}
	return firstExtended(pod.Requests)
}

func firstExtended(requests quantity.Vector) corev1.ResourceName {
	first := corev1.ResourceName("")
	for name, amount := range requests {
		if amount > 0 && strings.Contains(string(name), "/") && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

// over tells whether it is for those who are expected on a node that the pod does not fit there.
func (t *task) over(node *Node, has amounts) bool {
	room := has.left() + node.going(t.scarce)
	return t.asks > room && t.asks <= room+has.tentative
}

// keepRoom prefers nodes where the pod fits beside those that are expected there.
func keepRoom(_ *task, a, b option) int {
	switch {
	case a.over == b.over:
		return 0
	case b.over:
		return -1
	default:
		return 1
	}
}

// byName makes ties stable.
func byName(_ *task, a, b option) int { return cmp.Compare(a.node.Name, b.node.Name) }
