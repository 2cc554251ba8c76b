package handler

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
	"forewarm.dev/internal/quantity"
)

// hold expects a pod, which the scheduler knows in a version, on a node, for a while.
func (x *Index) hold(pod *extender.Pod, version, node string) {
	x.put(pod.UID, extender.Hold{Node: node, Requests: pod.Requests, Version: version, Expires: x.now().Add(holdFor)})
}

func (x *Index) put(uid types.UID, hold extender.Hold) {
	x.release(uid)
	if uid == "" {
		return // not a pod of an API server
	}
	x.holds.Put(uid, hold)
	x.entry(hold.Node).Tentative = x.holds.On(hold.Node)
}

// release forgets where a pod was expected.
func (x *Index) release(uid types.UID) {
	if node := x.holds.Drop(uid); node != "" {
		e := x.entry(node)
		e.Tentative = x.holds.On(node)
		x.forget(e)
	}
}

// expect takes in what an unbound pod says itself: for which node room was made, which outlives
// a restart of ours; or that the scheduler could not place it, so that it is expected nowhere. What
// it was given elsewhere it does not take: our answer came too late, or others left it no room.
func (x *Index) expect(pod *corev1.Pod) {
	unschedulable := extender.Unschedulable(pod)
	switch node := pod.Status.NominatedNodeName; {
	case x.answered(pod):
	case node != "":
		x.forgo(pod.UID)
		x.dropClaims(func(placeholder types.UID, c claim) bool { return c.by == pod.UID && x.pods[placeholder].node != node })
		x.put(pod.UID, extender.Hold{Node: node, Requests: x.devices.Requests(pod, quantity.OfPod(pod)), Nominated: true, Expires: x.now().Add(nominatedFor)})
	case unschedulable != nil && x.ahead.promises[pod.UID] == nil: // else room is made for it all the same
		x.release(pod.UID)
		x.unclaim(pod.UID)
	}
	if unschedulable != nil {
		x.await(pod, unschedulable.Message)
	}
}

// answered tells whether what a pod says is older than our last answer about it: the scheduler had
// seen it, and our cache is behind.
func (x *Index) answered(pod *corev1.Pod) bool {
	hold, ok := x.holds.Of(pod.UID)
	return ok && hold.Version != "" && !Newer(pod.ResourceVersion, hold.Version)
}

// Expire forgets holds and claims whose time is over, and what a silent reserver wanted.
func (x *Index) Expire() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outdate()
	x.lapse()
	for _, uid := range x.holds.Expired(x.now()) {
		x.release(uid)
	}
	x.dropClaims(func(_ types.UID, c claim) bool { return x.now().After(c.until) })
}

// Reconcile forgets every hold that no pod vouches for: another scheduler leads, and what the
// one before had in mind is void.
func (x *Index) Reconcile() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.abandon()
	for _, uid := range x.holds.Pods() {
		if hold, _ := x.holds.Of(uid); !hold.Nominated {
			x.release(uid)
			x.unclaim(uid)
		}
	}
}

// Holds is how many pods are expected on nodes.
func (x *Index) Holds() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.holds.Len()
}

// Upkeep forgets holds whose time is over, until done is closed.
func (x *Index) Upkeep(done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			x.Expire()
		}
	}
}
