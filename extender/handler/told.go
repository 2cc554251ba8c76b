package handler

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
)

const (
	// patience is how long a pod that was told to wait has until we look at it ourselves. The
	// scheduler tries it within milliseconds of the next pod that goes.
	patience = 2 * time.Second
	// toldFor is when the scheduler tries it by itself.
	toldFor = 5 * time.Minute
)

// told is a pod that no node was named to: room was coming, or guarded against it.
type told struct {
	pod *corev1.Pod
	// nodes are those that the scheduler could make room on and that placeholders stand on.
	nodes       []string
	next, until time.Time
	// roomy tells that there was room for it when it was looked at before.
	roomy bool
}

// remember keeps who was told to wait and may be given placeholders later, and forgets who was not.
func (x *Index) remember(pod *corev1.Pod, asked *extender.Pod, candidates Candidates, answer map[string]extender.Victims) {
	delete(x.told, pod.UID)
	if len(answer) > 0 || !asked.Plain {
		return
	}
	var nodes []string
	for name, instead := range candidates {
		if e := x.nodes[name]; e != nil && len(e.Stand) > 0 && x.swaps(pod, instead) {
			nodes = append(nodes, e.Name) // not the request's string, which would be kept
		}
	}
	if len(nodes) == 0 {
		return
	}
	now := x.now()
	x.told[pod.UID] = told{pod: pod, nodes: nodes, next: now.Add(patience), until: now.Add(toldFor)}
}

// PodRef is one pod, and no later one of its name.
type PodRef struct {
	types.NamespacedName
	UID types.UID
}

// Overdue gives placeholders to the first of the pods that were told to wait and that nobody has
// tried again, where they alone make room by now: what it waited for has gone, or does not go. The
// caller deletes them, which also has the scheduler try every pod again that found no room. Between
// one pod and the next, calls of the scheduler are answered.
func (x *Index) Overdue() (taker types.NamespacedName, placeholders []PodRef, ok bool) {
	for _, pod := range x.impatient() {
		if placeholders = x.serve(pod.UID); len(placeholders) > 0 {
			return pod.NamespacedName, placeholders, true
		}
	}
	return types.NamespacedName{}, nil, false
}

// impatient are the pods to look at, the highest priority first.
func (x *Index) impatient() []PodRef {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.now()
	maps.DeleteFunc(x.told, func(_ types.UID, t told) bool { return now.After(t.until) })
	var due []*corev1.Pod
	for _, t := range x.told {
		if now.After(t.next) && !x.resting() {
			due = append(due, t.pod)
		}
	}
	slices.SortFunc(due, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(priorityOf(b), priorityOf(a)), cmp.Compare(a.UID, b.UID))
	})
	refs := make([]PodRef, len(due))
	for i, pod := range due {
		refs[i] = PodRef{types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, pod.UID}
	}
	return refs
}

// serve gives a pod what Overdue says. It is asked for again if it is not tried then, as where a
// placeholder could not be deleted (Unsent). Nothing is given to a pod that is not known to wait, nor to one
// that is expected on a node already: another replica may have been asked about it since. Room that
// we made for it ahead, and that it has not taken by now, is not its own any more. Room that is there
// is left to the scheduler once: another replica may have made it.
func (x *Index) serve(uid types.UID) (given []PodRef) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t, ok := x.told[uid]
	now := x.now()
	if !ok || x.pending[uid].pod == nil || !now.After(t.next) {
		return nil
	}
	x.withdraw(uid)
	if _, expected := x.holds.Of(uid); expected {
		return nil
	}
	asked, candidates := x.pod(t.pod), x.again(t.nodes)
	waits := !t.roomy && extender.HasRoom(asked, candidates)
	t.next, t.roomy = now.Add(patience), waits
	x.told[uid] = t
	if waits {
		return nil
	}
	node, victims, is := takeover(extender.SelectVictims(asked, candidates, x.held))
	if !is {
		return nil
	}
	x.hold(asked, t.pod.ResourceVersion, node)
	x.claim(uid, victims)
	for _, v := range victims {
		x.leaves(v.UID)
		given = append(given, PodRef{x.pods[v.UID].key, v.UID})
	}
	return given
}

// again are nodes on which the scheduler would delete we do not know whom; those that are about to go
// are none any more, nor those on which a deletion has just failed.
func (x *Index) again(nodes []string) map[string]extender.Candidate {
	candidates, somebody := make(map[string]extender.Candidate, len(nodes)), extender.Victims{Pods: []extender.Victim{{}}}
	for _, name := range nodes {
		c := x.candidate(name, somebody)
		if c.Node != nil && !c.Node.Leaving && !x.now().Before(x.nodes[name].rests) {
			candidates[name] = c
		}
	}
	return candidates
}
