package handler

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
	"forewarm.dev/internal/suits"
)

const (
	// burstFor is how long pods alike are served since the scheduler last found no room for one.
	burstFor = 3 * time.Second
	// aheadAtOnce placeholders may go ahead of the scheduler at once, and aheadPerSecond after that:
	// a burst, and no more than for pods that were told to wait.
	aheadAtOnce, aheadPerSecond = 200, 50
	// burstsAtMost are remembered.
	burstsAtMost = 100
)

// pendingPod is a pod on no node, with its place in the order in which such came.
type pendingPod struct {
	pod   *corev1.Pod
	order int
	// since is from when on it has been told to wait for what comes; zero if it has not.
	since time.Time
	// swapped are the placeholders that it was last given instead of work, swaps how often such have gone
	// and it has found no room for all that.
	swapped []types.UID
	swaps   int
}

// burst are pods alike for one of which the scheduler has just found no room, or for which we see that
// there is none, where placeholders make room. It tries them one by one, and takes ten times as long over
// each as over one that finds room; so room is made for them ahead.
type burst struct {
	like  *corev1.Pod
	asked *extender.Pod
	// sight tells that it was begun before the scheduler was heard of such a pod: that there is no
	// free room for it is ours to see.
	sight bool
	// suits tells of a node whether such pods may go there.
	suits func(*corev1.Node) suits.Misfit
	// named are the nodes that the scheduler could make room on for such a pod; nil if it has not
	// been heard.
	named map[string]bool
	until time.Time
	// members are the pods alike that are known, queue those that nothing was given yet.
	members map[types.UID]bool
	queue   []types.UID
}

// ahead is what is done ahead of the scheduler.
type ahead struct {
	// on tells that somebody deletes, leaderless that no scheduler is known to lead that we follow.
	on, leaderless bool
	bursts         []*burst
	promises       map[types.UID]*promise // by pod
	// callers are the schedulers that have asked, while the same process leads.
	callers  map[string]bool
	arrivals int
	limit    *rate.Limiter
	// wake has an element when there may be something to do.
	wake chan struct{}
	// repelling are the labels of pods that pods on nodes keep away.
	repelling map[types.UID][]labels.Selector
}

func newAhead() ahead {
	return ahead{
		promises: map[types.UID]*promise{}, callers: map[string]bool{}, repelling: map[types.UID][]labels.Selector{},
		limit: rate.NewLimiter(aheadPerSecond, aheadAtOnce), wake: make(chan struct{}, 1),
	}
}

// ServeAhead says that the placeholders that Ahead gives are going to be deleted. The channel that
// it returns has an element when there may be some. Until then nothing is given ahead.
func (x *Index) ServeAhead() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ahead.on = true
	return x.ahead.wake
}

func (a *ahead) rouse() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// arrived keeps the place of a pod in the order in which they came.
func (x *Index) arrived(pod *corev1.Pod, before pendingPod) pendingPod {
	if before.pod != nil {
		before.pod = pod
		return before
	}
	x.ahead.arrivals++
	return pendingPod{pod: pod, order: x.ahead.arrivals}
}

// follow remembers that the scheduler has just found no room for a pod, nor for those alike, and on which
// nodes it could make some. Where placeholders do, such pods are served from now on, whether they are
// there or come within the next seconds.
func (x *Index) follow(pod *corev1.Pod, asked *extender.Pod, candidates Candidates, placeholders bool) {
	if !x.clears() || !extender.Simple(pod) {
		return
	}
	b := x.burstOf(pod)
	if b == nil && placeholders {
		b = x.newBurst(pod, asked)
	}
	if b == nil {
		return
	}
	if b.named == nil {
		b.named = map[string]bool{}
		x.enlist(b)
	}
	b.members[pod.UID], b.until = true, x.now().Add(burstFor)
	for name, instead := range candidates {
		if e := x.nodes[name]; e != nil && x.kept(asked, e) && x.swaps(pod, instead) {
			b.named[e.Name] = true // not the request's string, which would be kept
		}
	}
	x.ahead.rouse()
}

// enlist has all served that are there.
func (x *Index) enlist(b *burst) {
	for uid, p := range x.pending {
		if !b.members[uid] && extender.Alike(b.like, p.pod) && extender.Simple(p.pod) {
			b.members[uid] = true
			b.queue = append(b.queue, uid)
		}
	}
	slices.SortFunc(b.queue, func(u, v types.UID) int { return cmp.Compare(x.pending[u].order, x.pending[v].order) })
}

// newBurst remembers pods like one; nil if there are too many kinds.
func (x *Index) newBurst(pod *corev1.Pod, asked *extender.Pod) *burst {
	if len(x.ahead.bursts) >= burstsAtMost {
		return nil
	}
	b := &burst{like: pod, asked: asked, suits: suits.Of(pod), members: map[types.UID]bool{}}
	x.ahead.bursts = append(x.ahead.bursts, b)
	return b
}

// clears tells whether room may be made ahead now.
func (x *Index) clears() bool { return x.ahead.on && !x.ahead.leaderless && !x.resting() }

// Leaderless says whether nobody is known to hold the scheduler's Lease. Whoever calls us then may be a
// scheduler that leads no more, or follow another Lease, and another extender make room for the same pods: so
// none is made ahead.
func (x *Index) Leaderless(is bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ahead.leaderless = is
	if is {
		x.ahead.bursts = nil
	}
}

// kept tells whether a node has placeholders, and is kept warm for a pod, so that others which ask for
// the same are refused there.
func (x *Index) kept(asked *extender.Pod, e *nodeEntry) bool {
	return len(e.Stand) > 0 && slices.Contains(asked.Classes, e.Pool) && x.holding(e.Pool)
}

func (x *Index) burstOf(pod *corev1.Pod) *burst {
	for _, b := range x.ahead.bursts {
		if extender.Alike(b.like, pod) {
			return b
		}
	}
	return nil
}

// join has a pod that is on no node served if it comes in a burst.
func (x *Index) join(pod *corev1.Pod) {
	if !x.clears() || x.pending[pod.UID].pod == nil || !extender.Untried(pod) || !extender.Simple(pod) {
		return
	}
	b := x.burstOf(pod)
	if b == nil || b.sight {
		b = x.see(pod, b)
	}
	if b != nil && !b.members[pod.UID] {
		b.members[pod.UID] = true
		b.queue = append(b.queue, pod.UID)
		x.ahead.rouse()
	}
}

// Ahead gives placeholders to the next of the pods that come in a burst and that the scheduler has
// not tried yet, by the rules of SelectVictims; the caller deletes each, after Send. There are never
// more of them than pods need that wait. Between one such pod and the next, calls of the scheduler are
// answered.
func (x *Index) Ahead() (placeholders []PodRef, ok bool) {
	for {
		given, more := x.next()
		if len(given) > 0 || !more {
			return given, len(given) > 0
		}
	}
}

// HeldUp tells whether pods of a burst are left that Ahead gave nothing: what the limit allows later,
// the channel of ServeAhead does not tell.
func (x *Index) HeldUp() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.ahead.bursts, func(b *burst) bool { return len(b.queue) > 0 })
}

// next serves one pod; more tells whether there may be another.
func (x *Index) next() (given []PodRef, more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.now()
	x.ahead.bursts = slices.DeleteFunc(x.ahead.bursts, func(b *burst) bool { return now.After(b.until) })
	if x.resting() {
		return nil, false
	}
	for _, b := range x.ahead.bursts {
		if pod := x.first(b); pod != nil {
			given, served := x.promiseTo(b, pod)
			if served {
				b.queue = b.queue[1:]
				return given, true
			}
		}
	}
	return nil, false
}

// first is the first pod of a burst to which nothing was given and that the scheduler has not tried;
// nil if it is the only one that waits, and others of which we learned by the scheduler came before it:
// it gets to that one at once.
func (x *Index) first(b *burst) *corev1.Pod {
	maps.DeleteFunc(b.members, func(uid types.UID, _ bool) bool { return x.pending[uid].pod == nil })
	for ; len(b.queue) > 0; b.queue = b.queue[1:] {
		uid := b.queue[0]
		pod := x.pending[uid].pod
		_, expected := x.holds.Of(uid)
		_, waits := x.told[uid]
		if pod == nil || expected || waits || x.ahead.promises[uid] != nil || !extender.Untried(pod) {
			continue
		}
		if len(b.members) < 2 && !b.sight {
			return nil
		}
		return pod
	}
	return nil
}

// promiseTo gives a pod of a burst room that is there, or comes, and that nobody is expected on, or else
// placeholders; served is false where it has to wait for the limit.
func (x *Index) promiseTo(b *burst, pod *corev1.Pod) (given []PodRef, served bool) {
	asked := x.pod(pod)
	if !slices.Equal(asked.Classes, b.asked.Classes) {
		return nil, true // alike for the scheduler, and not for us
	}
	names, node := slices.Collect(maps.Keys(b.named)), ""
	if b.sight {
		names, node = x.survey(b, asked)
	}
	candidates, victims := x.again(names), []extender.Victim(nil)
	maps.DeleteFunc(candidates, func(name string, _ extender.Candidate) bool {
		pool := x.nodes[name].Pool
		return !slices.Contains(asked.Classes, pool) || !x.holding(pool)
	})
	if node == "" {
		node = extender.Spare(asked, candidates)
	}
	if node == "" {
		is := false
		node, victims, is = takeover(extender.SelectVictims(asked, candidates, x.held))
		if !is || slices.ContainsFunc(victims, func(v extender.Victim) bool { return !slices.Contains(asked.Classes, v.Pool) }) {
			return nil, true // there may be room for a later one, which is no larger, when somebody has gone
		}
		if !x.ahead.limit.AllowN(x.now(), len(victims)) {
			return nil, false
		}
	}
	p := &promise{pod: pod, node: node, requests: asked.Requests, until: x.now().Add(holdFor)}
	x.hold(asked, pod.ResourceVersion, node)
	x.claim(pod.UID, victims)
	for _, v := range victims {
		p.placeholders = append(p.placeholders, v.UID)
		given = append(given, PodRef{x.pods[v.UID].key, v.UID})
	}
	x.ahead.promises[pod.UID] = p
	x.clear(node)
	return given, true
}

// abandon ends all that is done ahead of a scheduler that does not lead any more.
func (x *Index) abandon() {
	x.ahead.bursts = nil
	clear(x.ahead.callers)
	for uid := range x.ahead.promises {
		x.withdraw(uid)
	}
}
