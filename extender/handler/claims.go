package handler

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
)

// claim says that a placeholder has been given to a pod, and until when it may take to be
// deleted: the scheduler does that beside its loop, and asks about the next pods meanwhile.
type claim struct {
	by    types.UID
	until time.Time
	// going tells that we delete it ourselves, and have begun.
	going bool
}

// claim gives placeholders to a pod that is expected on their node.
func (x *Index) claim(pod types.UID, victims []extender.Victim) {
	for _, v := range victims {
		x.claims[v.UID] = claim{by: pod, until: x.now().Add(holdFor)}
		x.mark(v.UID)
	}
}

// unclaim takes back what a pod was given and has not been deleted.
func (x *Index) unclaim(pod types.UID) {
	x.dropClaims(func(_ types.UID, c claim) bool { return c.by == pod })
}

func (x *Index) dropClaims(when func(placeholder types.UID, c claim) bool) {
	for uid, c := range x.claims {
		if when(uid, c) {
			delete(x.claims, uid)
			x.mark(uid)
		}
	}
}

// mark brings the list of placeholders on a node in line with the claims.
func (x *Index) mark(placeholder types.UID) {
	e := x.nodes[x.pods[placeholder].node]
	if e == nil {
		return
	}
	e.Stand = slices.Clone(e.Stand)
	for i := range e.Stand {
		if e.Stand[i].UID == placeholder {
			e.Stand[i].Taken = x.taken(placeholder)
		}
	}
}

// leaves says that we are deleting a placeholder that has been given to somebody.
func (x *Index) leaves(placeholder types.UID) {
	if c, ok := x.claims[placeholder]; ok {
		c.going = true
		x.claims[placeholder] = c
	}
}

func (x *Index) taken(placeholder types.UID) bool {
	_, ok := x.claims[placeholder]
	return ok
}

// takeover tells whether an answer leaves the scheduler one node, and placeholders alone to
// delete there, which are still to be given. Others may be among the scheduler's own victims, as
// for a pod of a higher priority; whom they were given to keeps them.
func takeover(answer map[string]extender.Victims) (node string, victims []extender.Victim, ok bool) {
	if len(answer) != 1 {
		return "", nil, false
	}
	for name, v := range answer {
		node, victims = name, v.Pods
	}
	other := slices.ContainsFunc(victims, func(v extender.Victim) bool { return v.Pool == "" || v.Taken })
	return node, victims, len(victims) > 0 && !other
}
