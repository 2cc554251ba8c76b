package handler

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
)

const (
	// restFor is how long we delete nothing after a deletion failed: twice as long as one may take, so
	// that the scheduler is left alone for most of the time when none goes through.
	restFor = 10 * time.Second
	// restThereFor is how long we delete nothing on that node: what cannot be deleted does not keep us
	// from what can.
	restThereFor = time.Minute
	// waitAtMost is how long a pod is told to wait for what comes, whatever fails: twice as long as a
	// placeholder is given. At its first attempt after that it gets the scheduler's own candidates.
	waitAtMost = 2 * holdFor
	// swapsAtMost is how often a pod is given placeholders instead of work in vain, until the scheduler's own
	// victims stay as they are.
	swapsAtMost = 3
)

// rest has us delete nothing for a while, since a placeholder could not be deleted.
func (x *Index) rest(placeholder types.UID) {
	x.rests = x.now().Add(restFor)
	if e := x.nodes[x.pods[placeholder].node]; e != nil {
		e.rests = x.now().Add(restThereFor)
	}
}

func (x *Index) resting() bool { return x.behind() || x.now().Before(x.rests) }

// waited tells whether a pod has been told to wait for as long as it may be. Of one that we have not seen
// come we know since when it is there.
func (x *Index) waited(pod *corev1.Pod) bool {
	p := x.pending[pod.UID]
	if p.pod == nil {
		p.since = pod.CreationTimestamp.Time
	}
	return !p.since.IsZero() && x.now().Sub(p.since) > waitAtMost
}

// waits keeps since when a pod is told to wait.
func (x *Index) waits(uid types.UID, is bool) {
	p, ok := x.pending[uid]
	switch {
	case !ok:
		return
	case !is:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = x.now()
	}
	x.pending[uid] = p
}

// swapsInVain counts when the placeholders have gone that a pod was given instead of work, and there is no room
// for it still. Others may have taken that; but something that we do not see may keep it off, too, and then
// the next placeholders would go in vain.
func (x *Index) swapsInVain(uid types.UID) bool {
	p, ok := x.pending[uid]
	stands := func(placeholder types.UID) bool { return x.pods[placeholder].pool != "" }
	if ok && len(p.swapped) > 0 && !slices.ContainsFunc(p.swapped, stands) {
		p.swapped, p.swaps = nil, p.swaps+1
		x.pending[uid] = p
	}
	return p.swaps >= swapsAtMost
}

// swap keeps what a pod is given instead of whom the scheduler would delete.
func (x *Index) swap(uid types.UID, victims []extender.Victim, instead CandidateVictims) {
	p, ok := x.pending[uid]
	if !ok {
		return
	}
	p.swapped = nil
	for _, v := range victims {
		if !slices.Contains(instead.Pods, v.UID) {
			p.swapped = append(p.swapped, v.UID)
		}
	}
	x.pending[uid] = p
}

// hides tells whether an answer leaves a pod nothing because of what comes.
func (x *Index) hides(asked extender.Pod, candidates map[string]extender.Candidate, answer map[string]extender.Victims) bool {
	asked.Waited = true
	return len(answer) == 0 && len(extender.SelectVictims(&asked, candidates, x.held)) > 0
}
