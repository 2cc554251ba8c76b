package handler

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/quantity"
)

const fakeNodes = 2

// fakeScheduler is one with those of kube-scheduler's rules that decide whether a pod is ever tried
// again: victims are deleted beside the loop, a pod that found no room is tried only once another
// has gone, and room is kept for pods that it was made for. The extender sees events late, and some
// of its answers come too late to count.
type fakeScheduler struct {
	random *rand.Rand
	x      *Index
	// late is how many of ten answers come too late.
	late    int
	pods    map[types.UID]*corev1.Pod
	version int
	// ready are tried next, waiting once somebody has gone.
	ready, waiting []types.UID
	going          []deletion
	// unseen are the events that the extender has not seen.
	unseen []func()
	// died is the real work that went, missed how many answers the scheduler did without.
	died, missed int
	// helped is how many placeholders the extender deleted for pods that waited, cleared how many
	// ahead of the scheduler; tried is how often the scheduler asked who makes room.
	helped, cleared, tried int
	// given are placeholders that the extender is going to delete ahead.
	given []PodRef
}

// deletion is on its way, for the sake of a pod; heard tells that it is by our answer, and that
// each before counted.
type deletion struct {
	victim, taker types.UID
	heard         bool
}

// newFakeScheduler fills each node with work that is worth less than the placeholders beside it, and has a
// pod come for each placeholder.
func newFakeScheduler(seed uint64, late, work int, ahead bool) *fakeScheduler {
	b := &fakeScheduler{random: rand.New(rand.NewPCG(seed, 5)), x: cluster(), late: late, pods: map[types.UID]*corev1.Pod{}}
	if ahead {
		b.x.ServeAhead()
	}
	b.x.DropPod(placeholder("hold-1", "warm-1"))
	for i := range fakeNodes {
		name := fmt.Sprint("node-", i)
		b.x.SetNode(node(name, "a100"))
		for j := range work {
			b.tell(prioritized(pod("web", fmt.Sprintf("work-%d-%d", i, j), name, "1"), -100))
		}
		for j := range 8 - work {
			b.tell(prioritized(placeholder(fmt.Sprintf("hold-%d-%d", i, j), name), -10))
		}
	}
	b.see(len(b.unseen))
	for i := range fakeNodes * (8 - work) {
		p := prioritized(pod("ml", fmt.Sprintf("taker-%02d", i), "", "1"), 1)
		b.tell(p)
		b.ready = append(b.ready, p.UID)
	}
	return b
}

func prioritized(p *corev1.Pod, priority int32) *corev1.Pod {
	p.Spec.Priority = &priority
	return p
}

// tell writes a pod.
func (b *fakeScheduler) tell(p *corev1.Pod) {
	b.version++
	p.ResourceVersion = fmt.Sprint(b.version)
	b.pods[p.UID] = p
	b.unseen = append(b.unseen, func() { b.x.SetPod(p) })
}

// see has the extender take in the next events.
func (b *fakeScheduler) see(events int) {
	for _, event := range b.unseen[:events] {
		event()
	}
	b.unseen = b.unseen[events:]
}

// delete removes the victim of the first deletion. All that wait are tried again, but for those
// whose own victims are still there.
func (b *fakeScheduler) delete() {
	victim := b.going[0].victim
	b.going = b.going[1:]
	p := b.pods[victim]
	if p == nil {
		return
	}
	if p.Labels[v1alpha1.LabelPool] == "" {
		b.died++
	}
	delete(b.pods, victim)
	b.unseen = append(b.unseen, func() { b.x.DropPod(p) })
	// A pod is not tried before the scheduler has been to all its victims, though they be gone already; of
	// the last one it sees that by itself. Where it has gone by
	// its own choice we cannot help it.
	preempting := func(uid types.UID) bool {
		own := slices.DeleteFunc(slices.Clone(b.going), func(d deletion) bool { return d.taker != uid })
		return len(own) > 1 && own[0].heard || slices.ContainsFunc(own, func(d deletion) bool { return b.pods[d.victim] != nil })
	}
	for _, uid := range b.waiting {
		if !preempting(uid) {
			b.ready = append(b.ready, uid)
		}
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(uid types.UID) bool { return !preempting(uid) })
}

// fits tells whether a pod has room on a node once some are gone, beside those that room was made for.
func (b *fakeScheduler) fits(taker types.UID, name string, gone []types.UID) bool {
	left := int64(8)
	for uid, p := range b.pods {
		if uid != taker && cmp.Or(p.Spec.NodeName, p.Status.NominatedNodeName) == name && !slices.Contains(gone, uid) {
			left -= quantity.OfPod(p)[gpu]
		}
	}
	return left >= quantity.OfPod(b.pods[taker])[gpu]
}

// place tries the first pod that is ready: the node that was freed for it, any other, or preemption.
func (b *fakeScheduler) place() {
	uid := b.ready[0]
	b.ready = b.ready[1:]
	p := b.pods[uid]
	if name := b.node(p); name != "" {
		bound := p.DeepCopy()
		bound.Spec.NodeName, bound.Status = name, corev1.PodStatus{}
		b.tell(bound)
		return
	}
	failed := p.DeepCopy()
	failed.Status.Conditions = unschedulablePod("").Status.Conditions
	if name, victims, heard := b.preempt(p); name != "" {
		failed.Status.NominatedNodeName = name
		for _, victim := range victims {
			b.going = append(b.going, deletion{victim, uid, heard})
		}
	}
	b.waiting = append(b.waiting, uid)
	b.tell(failed)
}

// node is where a pod goes; empty if there is no room.
func (b *fakeScheduler) node(p *corev1.Pod) string {
	if name := p.Status.NominatedNodeName; name != "" && b.fits(p.UID, name, nil) {
		b.x.Filter(p, []string{name})
		return name
	}
	var fit []string
	for i := range fakeNodes {
		if name := fmt.Sprint("node-", i); b.fits(p.UID, name, nil) {
			fit = append(fit, name)
		}
	}
	if len(fit) == 0 {
		return ""
	}
	best := 0
	if b.x.Filter(p, fit); len(fit) > 1 {
		scores := b.x.Score(p, fit)
		best = slices.Index(scores, slices.Max(scores))
	}
	if b.random.IntN(10) < b.late {
		b.missed++
		best = b.random.IntN(len(fit))
	}
	return fit[best]
}

// preempt asks the extender about what the scheduler would delete, and goes without its answer where
// that comes too late or names somebody who is gone.
func (b *fakeScheduler) preempt(p *corev1.Pod) (node string, victims []types.UID, heard bool) {
	b.tried++
	own := b.candidates(p)
	answer := b.x.SelectVictims(p, own)
	missed := b.random.IntN(10) < b.late
	chosen := Candidates{}
	for name, victims := range answer {
		c := CandidateVictims{}
		for _, v := range victims.Pods {
			c.Pods = append(c.Pods, v.UID)
			missed = missed || b.pods[v.UID] == nil
		}
		chosen[name] = c
	}
	if missed {
		b.missed++
		chosen = own
	}
	cheapest := ""
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		if cheapest == "" || b.dearest(chosen[name]) < b.dearest(chosen[cheapest]) {
			cheapest = name
		}
	}
	return cheapest, chosen[cheapest].Pods, b.missed == 0
}

func (b *fakeScheduler) dearest(c CandidateVictims) int32 {
	highest := int32(-1000)
	for _, uid := range c.Pods {
		highest = max(highest, priorityOf(b.pods[uid]))
	}
	return highest
}

// candidates are, per node, the least of what is worth less than a pod that makes room for it.
func (b *fakeScheduler) candidates(p *corev1.Pod) Candidates {
	all := Candidates{}
	for i := range fakeNodes {
		name := fmt.Sprint("node-", i)
		var lower []types.UID
		for _, uid := range slices.Sorted(maps.Keys(b.pods)) {
			if other := b.pods[uid]; other.Spec.NodeName == name && priorityOf(other) < priorityOf(p) {
				lower = append(lower, uid)
			}
		}
		slices.SortStableFunc(lower, func(x, y types.UID) int { return cmp.Compare(priorityOf(b.pods[y]), priorityOf(b.pods[x])) })
		victims := slices.Clone(lower)
		if !b.fits(p.UID, name, victims) {
			continue
		}
		for _, uid := range lower {
			if less := slices.DeleteFunc(slices.Clone(victims), func(v types.UID) bool { return v == uid }); b.fits(p.UID, name, less) {
				victims = less
			}
		}
		if len(victims) > 0 {
			all[name] = CandidateVictims{Pods: victims}
		}
	}
	return all
}

// run goes on until nothing can happen any more but the scheduler's own retry after five minutes.
func (b *fakeScheduler) run() {
	b.settle()
	for later(b.x, patience+time.Second); ; {
		_, placeholders, ok := b.x.Overdue()
		if !ok {
			return
		}
		for _, p := range placeholders {
			b.helped++
			b.going = append(b.going, deletion{victim: p.UID})
		}
		b.settle()
	}
}

// clear is what the extender does ahead of the scheduler.
func (b *fakeScheduler) clear() {
	if given, ok := b.x.Ahead(); ok {
		b.given = append(b.given, given...)
	}
	if len(b.given) > 0 && b.random.IntN(2) == 0 {
		if first := b.given[0].UID; b.x.Send(first) {
			b.cleared++
			b.going = append(b.going, deletion{victim: first})
		}
		b.given = b.given[1:]
	}
}

// settle goes on until nothing is on its way.
func (b *fakeScheduler) settle() {
	for len(b.ready)+len(b.going)+len(b.unseen)+len(b.given) > 0 {
		b.clear()
		switch later(b.x, time.Duration(b.random.IntN(20))*time.Millisecond); b.random.IntN(3) {
		case 0:
			if len(b.ready) > 0 {
				b.place()
			}
		case 1:
			if len(b.going) > 0 {
				b.delete()
			}
		default:
			if b.random.IntN(4) == 0 || len(b.ready)+len(b.going) == 0 {
				b.see(b.random.IntN(len(b.unseen) + 1))
			}
		}
	}
}

// TestNobodyIsForgotten: whatever the extender has not seen yet, and however many of its answers come
// too late, each pod of a burst is placed once all has happened that is on its way; and no real work
// goes while answers count. Nor does that change where the extender makes room ahead.
func TestNobodyIsForgotten(t *testing.T) {
	for name, test := range map[string]struct{ late, work int }{
		"placeholders alone":             {0, 0},
		"beside cheaper work":            {0, 4},
		"some answers late":              {3, 0},
		"some late, beside cheaper work": {3, 4},
		"most late, beside cheaper work": {8, 4},
		"all late":                       {10, 0},
	} {
		for _, ahead := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, ahead %v", name, ahead), func(t *testing.T) {
				cleared := 0
				for seed := range uint64(100) {
					b := newFakeScheduler(seed, test.late, test.work, ahead)
					b.run()
					if len(b.waiting) > 0 || len(b.x.told) > 0 {
						t.Errorf("seed %d: %d pods wait for what will not happen, after %d answers that did not count", seed, len(b.waiting), b.missed)
					}
					if b.missed == 0 && b.died+b.helped > 0 {
						t.Errorf("seed %d: every answer counted; %d of real work went, and the extender deleted %d placeholders itself", seed, b.died, b.helped)
					}
					cleared += b.cleared
				}
				if ahead != (cleared > 0) {
					t.Errorf("%d placeholders were cleared ahead", cleared)
				}
			})
		}
	}
}
