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
	// nodes are those that the scheduler could make room on.
	nodes       []string
	next, until time.Time
}

// remember keeps who was told to wait, and forgets who was not.
func (x *Index) remember(pod *corev1.Pod, candidates Candidates, answer map[string]extender.Victims) {
	if len(answer) > 0 || len(candidates) == 0 || pod.UID == "" {
		delete(x.told, pod.UID)
		return
	}
	now := x.now()
	x.told[pod.UID] = told{pod: pod, nodes: sortedKeys(candidates), next: now.Add(patience), until: now.Add(toldFor)}
}

// Placeholder is one that is to go.
type Placeholder struct {
	types.NamespacedName
	UID types.UID
}

// Overdue gives placeholders to the first of the pods that were told to wait and that nobody has
// tried again, where they alone make room by now: what it waited for has gone, or does not go. The
// caller deletes them, which also has the scheduler try every pod again that found no room.
func (x *Index) Overdue() (taker types.NamespacedName, placeholders []Placeholder, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.now()
	maps.DeleteFunc(x.told, func(_ types.UID, t told) bool { return now.After(t.until) })
	for _, uid := range x.impatient(now) {
		t := x.told[uid]
		t.next = now.Add(patience)
		x.told[uid] = t
		asked := x.pod(t.pod)
		node, victims, is := takeover(extender.SelectVictims(asked, x.again(t.nodes), x.held))
		if !is {
			continue
		}
		delete(x.told, uid)
		x.hold(asked, t.pod.ResourceVersion, node)
		x.claim(uid, victims)
		for _, v := range victims {
			placeholders = append(placeholders, Placeholder{x.pods[v.UID].key, v.UID})
		}
		return types.NamespacedName{Namespace: t.pod.Namespace, Name: t.pod.Name}, placeholders, true
	}
	return types.NamespacedName{}, nil, false
}

// impatient are the pods to look at, the highest priority first, then by name.
func (x *Index) impatient(now time.Time) []types.UID {
	var due []types.UID
	for uid, t := range x.told {
		if now.After(t.next) {
			due = append(due, uid)
		}
	}
	slices.SortFunc(due, func(a, b types.UID) int {
		return cmp.Or(cmp.Compare(priorityOf(x.told[b].pod), priorityOf(x.told[a].pod)), cmp.Compare(a, b))
	})
	return due
}

// again are nodes on which the scheduler would delete we do not know whom.
func (x *Index) again(nodes []string) map[string]extender.Candidate {
	candidates := map[string]extender.Candidate{}
	for _, name := range nodes {
		candidates[name] = x.candidate(name, extender.Victims{Pods: []extender.Victim{{}}})
	}
	return candidates
}
