package handler

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
	"forewarm.dev/internal/quantity"
)

// promise is room that is being made for a pod before the scheduler tries it.
type promise struct {
	pod      *corev1.Pod
	node     string
	requests quantity.Vector
	// placeholders are those that still stand; without any the room is there.
	placeholders []types.UID
	// sent tells that they are being deleted.
	sent bool
	// placed tells that the scheduler has found the pod a node since.
	placed bool
	until  time.Time
}

// clear sums up what room on a node was made for.
func (x *Index) clear(node string) {
	e := x.entry(node)
	e.Cleared = nil
	for _, p := range x.ahead.promises {
		if p.node == node {
			e.Cleared = e.Cleared.Plus(p.requests)
		}
	}
	x.forget(e)
}

// Send tells whether a placeholder is still to be deleted: the pod that it was given to waits, and
// from now on counts on it.
func (x *Index) Send(placeholder types.UID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.promiseOf(placeholder)
	if p == nil || x.pending[p.pod.UID].pod == nil {
		return false
	}
	p.sent = true
	x.leaves(placeholder)
	return true
}

// Unsent says that a placeholder could not be deleted after all, ahead or for a pod that waited. Nobody
// counts on it any more, so that the scheduler may delete it itself, and for a while we do not try.
func (x *Index) Unsent(placeholder types.UID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ahead.bursts = nil
	x.rest(placeholder)
	if p := x.promiseOf(placeholder); p != nil {
		x.withdraw(p.pod.UID)
	}
	if c := x.claims[placeholder]; c.going {
		x.unexpect(c.by, x.pods[placeholder].node)
		x.dropClaims(func(uid types.UID, _ claim) bool { return uid == placeholder })
	}
}

// promiseOf is what a placeholder that stands is part of; nil if nothing.
func (x *Index) promiseOf(placeholder types.UID) *promise {
	p := x.ahead.promises[x.claims[placeholder].by]
	if p == nil || !slices.Contains(p.placeholders, placeholder) {
		return nil
	}
	return p
}

// gone takes note that a placeholder is no more that was given to somebody.
func (x *Index) gone(placeholder types.UID) {
	if p := x.promiseOf(placeholder); p != nil {
		p.placeholders = slices.DeleteFunc(p.placeholders, func(uid types.UID) bool { return uid == placeholder })
	}
}

// comes tells whether a pod that the scheduler found no room for has only to wait for what we make
// for it: the placeholders are being deleted, or have just gone and nobody has taken their room. It
// is expected there.
func (x *Index) comes(asked *extender.Pod, version string) bool {
	p := x.ahead.promises[asked.UID]
	if p == nil || len(p.placeholders) > 0 && !p.sent || !extender.Coming(asked, x.candidate(p.node, extender.Victims{})) {
		return false
	}
	x.hold(asked, version, p.node)
	return true
}

// send expects a pod on a node that the scheduler has found for it. Where nothing was promised to it
// and it takes what was, to another one alike, that one is served anew.
func (x *Index) send(pod *corev1.Pod, asked *extender.Pod, node string) {
	x.took(pod.UID, node)
	x.hold(asked, pod.ResourceVersion, node)
	if p := x.ahead.promises[pod.UID]; p != nil {
		p.placed = true
		return
	}
	robbed := x.ready(pod, node)
	if robbed == nil || !extender.Simple(pod) || !extender.Over(asked, x.node(node)) {
		return
	}
	x.withdraw(robbed.pod.UID)
	if b := x.burstOf(robbed.pod); b != nil {
		b.queue = append([]types.UID{robbed.pod.UID}, b.queue...)
		x.ahead.rouse()
	}
}

// ready is, of those like a pod whose promised room on a node is there, and whom the scheduler has not
// placed, the last that it comes to; nil if there is none.
func (x *Index) ready(pod *corev1.Pod, node string) *promise {
	var last *promise
	for uid, p := range x.ahead.promises {
		if uid == pod.UID || p.node != node || p.placed || len(p.placeholders) > 0 || !extender.Alike(p.pod, pod) {
			continue
		}
		if last == nil || x.pending[last.pod.UID].order < x.pending[uid].order {
			last = p
		}
	}
	return last
}

// took says that a pod takes room on a node. If that is not what was made for it, but for another one
// alike, they change: so each has one room, and no placeholder goes for nobody.
func (x *Index) took(uid types.UID, node string) {
	p := x.ahead.promises[uid]
	if p == nil || p.node == node && len(p.placeholders) == 0 {
		return
	}
	other := x.ready(p.pod, node)
	if other == nil {
		return
	}
	p.pod, other.pod = other.pod, p.pod
	x.ahead.promises[uid], x.ahead.promises[p.pod.UID] = other, p
	for _, placeholder := range p.placeholders {
		if c, ok := x.claims[placeholder]; ok {
			c.by = p.pod.UID
			x.claims[placeholder] = c
		}
	}
	if hold, ok := x.holds.Of(p.pod.UID); ok && hold.Node == node && !hold.Nominated {
		hold.Node = p.node
		x.put(p.pod.UID, hold)
	}
}

// forgo ends a promise to a pod that the scheduler has seen to itself. What is being deleted for it
// stays given, to nobody: it is room for the next one.
func (x *Index) forgo(uid types.UID) *promise {
	p := x.ahead.promises[uid]
	if p == nil {
		return nil
	}
	delete(x.ahead.promises, uid)
	x.clear(p.node)
	for _, placeholder := range p.placeholders {
		if c, ok := x.claims[placeholder]; ok && c.going {
			c.by = ""
			x.claims[placeholder] = c
		}
	}
	return p
}

// withdraw ends a promise, and frees what was given for it and has not gone.
func (x *Index) withdraw(uid types.UID) {
	p := x.forgo(uid)
	if p == nil {
		return
	}
	x.unexpect(uid, p.node)
	x.unclaim(uid)
}

// unexpect expects a pod no more on a node where we were to make it room.
func (x *Index) unexpect(uid types.UID, node string) {
	if hold, ok := x.holds.Of(uid); ok && hold.Node == node && !hold.Nominated {
		x.release(uid)
	}
}

// outdate ends the promises whose time is over.
func (x *Index) outdate() {
	for uid, p := range x.ahead.promises {
		if x.now().After(p.until) {
			x.withdraw(uid)
		}
	}
}
