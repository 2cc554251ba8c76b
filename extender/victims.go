package extender

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// SelectVictims chooses among the nodes that the scheduler could preempt on:
//  1. a node whose placeholder victims are guarded against the pod's class is dropped;
//  2. if on some node only placeholders die, those nodes with the fewest, and then the
//     least held, are kept, and no real work is evicted;
//  3. else the rest is returned as it came, so that ordinary preemption goes on.
//
// A node where nobody dies (schedulers after 1.37 send such) costs nothing and is always
// kept. Nodes and victims are never added.
func SelectVictims(pod Pod, candidates map[string]Victims, held []Held) map[string]Victims {
	allowed := maps.Clone(candidates)
	maps.DeleteFunc(allowed, func(_ string, v Victims) bool { return takesGuarded(pod, v, held) })
	scarce := scarceResource(pod, held)
	best, found := cost{}, false
	for _, v := range allowed {
		if c, ok := takeover(v, scarce); ok && (!found || c.less(best)) {
			best, found = c, true
		}
	}
	if found {
		maps.DeleteFunc(allowed, func(_ string, v Victims) bool {
			c, ok := takeover(v, scarce)
			return len(v.Pods) > 0 && (!ok || best.less(c))
		})
	}
	return allowed
}

func takesGuarded(pod Pod, v Victims, held []Held) bool {
	for _, victim := range v.Pods {
		if victim.Pool != "" && guarded(pod, victim.Pool, held) {
			return true
		}
	}
	return false
}

// cost is what a takeover takes: placeholders, then the amount that they hold.
type cost struct{ chunks, amount int64 }

func (c cost) less(d cost) bool {
	return c.chunks < d.chunks || c.chunks == d.chunks && c.amount < d.amount
}

// takeover is the cost on a node where only placeholders die; ok is false elsewhere, and
// where nobody dies.
func takeover(v Victims, scarce corev1.ResourceName) (c cost, ok bool) {
	for _, victim := range v.Pods {
		if victim.Pool == "" {
			return cost{}, false
		}
		c.chunks++
		c.amount += victim.Requests[scarce]
	}
	return c, c.chunks > 0
}
