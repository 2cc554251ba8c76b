package extender

import (
	"cmp"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// SelectVictims chooses among the nodes that the scheduler could preempt on:
//  1. a node whose placeholder victims are guarded against the pod's class is dropped, and so is
//     one where nobody would have to die but we refuse the pod;
//  2. if on some node placeholders alone make room that no other pod has been given, the node with
//     the first to be consumed, the fewest, then the least held, and then the first name is kept,
//     and no real work is evicted: also where the scheduler, which goes by priority, would have
//     taken real work beside them. It is one node, so that the caller knows which placeholders are
//     taken: the scheduler deletes them later than it asks about the next pod;
//  3. if on some node the scheduler itself would delete nothing but placeholders, though others
//     have been given them, only such nodes are kept: it has counted whom it sent there before;
//  4. if the pod fits on some node as soon as those placeholders are gone that other pods, or the
//     pod itself, have been given, none is returned, since only real work could go instead: the pod
//     waits, and is tried again with each placeholder that goes;
//  5. else the rest is returned as it came, so that ordinary preemption goes on.
//
// A node is not returned, and rule 4 holds for the pod, as long as among the scheduler's victims there
// is a placeholder that we are deleting, or, where all are placeholders, one of several that another
// pod has been given: it would go a second time, in vain, and a pod for which the scheduler finds several victims gone is not tried
// again for five minutes. Where it waits it is tried when the placeholder goes. For a pod that has waited
// long enough (Waited) this does not hold, nor does rule 4: whatever fails, what comes never keeps it from
// ordinary preemption for longer.
//
// A node where nobody dies (schedulers after 1.37 send such) costs nothing and is kept if it is
// not refused. Nodes are never added.
func SelectVictims(pod *Pod, candidates map[string]Candidate, held []Held) map[string]Victims {
	allowed := make(map[string]Victims, len(candidates))
	scarce := scarceResource(pod, held)
	best, lowest, wait := "", cost{}, false
	for name, c := range candidates {
		if dropped(pod, c, held) {
			continue
		}
		twice := inVain(pod, c.Pods)
		if !twice {
			allowed[name] = c.Victims
		}
		wait = wait || twice || comes(pod, c)
		victims, ok := takeover(pod, c, held)
		if !ok {
			continue
		}
		allowed[name] = victims
		price := priceOf(pod, victims.Pods, scarce)
		if best == "" || cmp.Or(price.compare(lowest), cmp.Compare(name, best)) < 0 {
			best, lowest = name, price
		}
	}
	if best != "" {
		maps.DeleteFunc(allowed, func(name string, v Victims) bool { return len(v.Pods) > 0 && name != best })
		return allowed
	}
	return spareWork(pod, allowed, wait)
}

// spareWork leaves real work alone if placeholders that others have been given would go instead, or
// if the pod has only to wait for such, and has not for too long.
func spareWork(pod *Pod, allowed map[string]Victims, wait bool) map[string]Victims {
	kept := maps.Clone(allowed)
	maps.DeleteFunc(kept, func(_ string, v Victims) bool { return slices.ContainsFunc(v.Pods, isWork) })
	if len(kept) > 0 || wait && !pod.Waited {
		return kept
	}
	return allowed
}

// inVain tells whether the scheduler would delete placeholders that somebody else is deleting, for a pod
// that can wait.
func inVain(pod *Pod, victims []Victim) bool {
	several := len(victims) > 1 && !slices.ContainsFunc(victims, isWork)
	return !pod.Waited && slices.ContainsFunc(victims, func(v Victim) bool { return v.Going || v.Taken && several })
}

func isWork(v Victim) bool { return v.Pool == "" }

// comes tells whether the pod has only to wait for room on a node.
func comes(pod *Pod, c Candidate) bool { return Coming(pod, c) && !needed(c) }

// needed tells whether the pod would not fit without the scheduler's own victims, whatever else makes room.
func needed(c Candidate) bool {
	return slices.ContainsFunc(c.Pods, func(v Victim) bool { return v.Needed })
}

// dropped tells whether preemption on a node would break a guard, or end in our refusal.
func dropped(pod *Pod, c Candidate, held []Held) bool {
	if len(c.Pods) == 0 {
		return c.Node != nil && judge(pod, c.Node, held).Reason != ""
	}
	return slices.ContainsFunc(c.Pods, func(v Victim) bool { return v.Pool != "" && guarded(pod, v.Pool, held) })
}

// Coming tells whether the pod fits on a node once the placeholders are gone that are taken, for
// the scheduler too.
func Coming(pod *Pod, c Candidate) bool {
	if c.Node == nil || !pod.Plain {
		return false
	}
	taken := c.Node.Settling || slices.ContainsFunc(c.Node.Stand, func(v Victim) bool { return v.Taken })
	return taken && pod.Requests.FitsIn(room(c.Node))
}

// Spare is the first by name of the nodes where a pod will fit, once those are gone that have been given
// to others, without anybody else having to go; empty if there is none.
func Spare(pod *Pod, candidates map[string]Candidate) string {
	first := ""
	for name, c := range candidates {
		if c.Node != nil && (first == "" || name < first) && pod.Requests.FitsIn(room(c.Node)) {
			first = name
		}
	}
	return first
}

// Over tells whether more is expected on a node, of what a pod asks for, than will fit there.
func Over(pod *Pod, node *Node) bool {
	left := room(node)
	for name, amount := range pod.Requests {
		if amount > 0 && left[name] < 0 {
			return true
		}
	}
	return false
}

// HasRoom tells whether a pod fits on one of the nodes without anybody having to go, as far as
// resources decide.
func HasRoom(pod *Pod, candidates map[string]Candidate) bool {
	for _, c := range candidates {
		if c.Node != nil && c.Node.fits(pod) {
			return true
		}
	}
	return false
}

// room is what a node has left once the placeholders are gone that are taken; negative where more
// is expected than fits.
func room(node *Node) quantity.Vector {
	room := node.Allocatable.Minus(node.Real).Minus(node.Placeholders).Minus(node.Tentative)
	for _, v := range node.Stand {
		if v.Taken {
			room = room.Plus(v.Requests)
		}
	}
	return room
}

// takeover is how placeholders alone make room on a node: the scheduler's own victims if they
// are nothing else and nobody else's, or else, where resources alone decide, the cheapest
// placeholders there. They do not where one of the victims keeps the pod away by its anti-affinity, or
// has volumes as the pod has: what may be attached to a node has its limit.
func takeover(pod *Pod, c Candidate, held []Held) (Victims, bool) {
	if len(c.Pods) == 0 {
		return Victims{}, false
	}
	if !slices.ContainsFunc(c.Pods, func(v Victim) bool { return v.Pool == "" || v.Taken }) {
		return c.Victims, true
	}
	if c.Node == nil || !pod.Plain || needed(c) {
		return Victims{}, false
	}
	pods, ok := placeholdersFor(pod, c.Node, held)
	return Victims{Pods: pods}, ok
}

// placeholdersFor are the placeholders of a node that make room for a pod, first to be consumed
// first, without those that turn out not to be needed; ok is false if all would not do.
func placeholdersFor(pod *Pod, node *Node, held []Held) (chosen []Victim, ok bool) {
	var usable []Victim
	for _, v := range node.Stand {
		if !v.Taken && v.Priority < pod.Priority && !guarded(pod, v.Pool, held) {
			usable = append(usable, v)
		}
	}
	if len(usable) == 0 {
		return nil, false
	}
	scarce := scarceResource(pod, held)
	slices.SortFunc(usable, func(a, b Victim) int {
		return cmp.Or(cmp.Compare(lent(pod, a), lent(pod, b)), cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Requests[scarce], a.Requests[scarce]), cmp.Compare(a.UID, b.UID))
	})
	room := room(node)
	for len(usable) > 0 && !pod.Requests.FitsIn(room) {
		room = room.Plus(usable[0].Requests)
		chosen, usable = append(chosen, usable[0]), usable[1:]
	}
	if !pod.Requests.FitsIn(room) || len(chosen) == 0 {
		return nil, false
	}
	return spare(chosen, room, pod.Requests), true
}

// spare leaves out those victims that room can do without, the last to be consumed first.
func spare(chosen []Victim, room, requests quantity.Vector) []Victim {
	for i := len(chosen) - 1; i >= 0 && len(chosen) > 1; i-- {
		if less := room.Minus(chosen[i].Requests); requests.FitsIn(less) {
			room, chosen = less, slices.Delete(chosen, i, i+1)
		}
	}
	return chosen
}

// lent is the first order of consumption: what was warmed for the pod's own class, then what another
// pool lends. The second is the priority, which is the chunk's tier.
func lent(pod *Pod, v Victim) int {
	if slices.Contains(pod.Classes, v.Pool) {
		return 0
	}
	return 1
}

// cost is what a takeover takes: whether anything is lent, the last tier of that which it touches,
// placeholders, and the amount that they hold.
type cost struct {
	lent           int
	priority       int32
	chunks, amount int64
}

func (c cost) compare(d cost) int {
	return cmp.Or(cmp.Compare(c.lent, d.lent), cmp.Compare(c.priority, d.priority), cmp.Compare(c.chunks, d.chunks), cmp.Compare(c.amount, d.amount))
}

func priceOf(pod *Pod, victims []Victim, scarce corev1.ResourceName) (c cost) {
	c.priority = math.MinInt32
	for _, v := range victims {
		c.lent, c.priority = max(c.lent, lent(pod, v)), max(c.priority, v.Priority)
		c.chunks++
		c.amount += v.Requests[scarce]
	}
	return c
}
