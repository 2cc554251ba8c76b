package handler

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender"
	"forewarm.dev/internal/quantity"
)

func nominatedPod(name, node string) *corev1.Pod {
	p := pod("ml", name, "", "1")
	p.Status.NominatedNodeName = node
	return p
}

func unschedulablePod(name string) *corev1.Pod {
	p := pod("ml", name, "", "1")
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available"}}
	return p
}

// TestHolds: a pod is expected where it was sent until we see what became of it.
func TestHolds(t *testing.T) {
	names := []string{"warm-1", "warm-2", "plain"}
	tests := map[string]struct {
		then func(*Index)
		want string // the node that it is expected on
	}{
		"sent to the best node":          {func(*Index) {}, "warm-2"},
		"asked about again":              {func(x *Index) { x.Filter(pod("ml", "p", "", "1"), names) }, ""},
		"one node is left":               {func(x *Index) { x.Filter(pod("ml", "p", "", "1"), names[:1]) }, "warm-1"},
		"bound":                          {func(x *Index) { x.SetPod(pod("ml", "p", "plain", "1")) }, ""},
		"deleted":                        {func(x *Index) { x.DropPod(pod("ml", "p", "", "1")) }, ""},
		"could not be placed":            {func(x *Index) { x.SetPod(unschedulablePod("p")) }, ""},
		"changed, still pending":         {func(x *Index) { x.SetPod(pod("ml", "p", "", "1")) }, "warm-2"},
		"room is made for it":            {func(x *Index) { x.SetPod(nominatedPod("p", "warm-1")) }, "warm-1"},
		"another scheduler leads":        {func(x *Index) { x.Reconcile() }, ""},
		"another leads, room is made":    {func(x *Index) { x.SetPod(nominatedPod("p", "warm-1")); x.Reconcile() }, "warm-1"},
		"not seen again":                 {func(x *Index) { later(x, holdFor+time.Second) }, ""},
		"not seen for a moment":          {func(x *Index) { later(x, holdFor-time.Second) }, "warm-2"},
		"its node is gone, it is not":    {func(x *Index) { x.DropNode(node("warm-2", "a100")) }, "warm-2"},
		"preemption is asked about":      {func(x *Index) { x.SelectVictims(pod("ml", "p", "", "1"), Candidates{}) }, ""},
		"ended without being seen bound": {func(x *Index) { p := pod("ml", "p", "", "1"); p.Status.Phase = corev1.PodFailed; x.SetPod(p) }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			x := cluster()
			p := pod("ml", "p", "", "1")
			x.Filter(p, names)
			x.Score(p, names)
			test.then(x)
			hold, _ := x.holds.Of("p")
			if hold.Node != test.want || (x.Holds() > 0) != (test.want != "") {
				t.Errorf("%d holds, on %q, want on %q", x.Holds(), hold.Node, test.want)
			}
			for _, node := range names {
				if got, want := x.node(node).Tentative[gpu], int64(0); got != want && node != test.want || node == test.want && got != 1 {
					t.Errorf("%d GPUs expected on %s", got, node)
				}
			}
		})
	}
}

// later lets time pass.
func later(x *Index, by time.Duration) {
	now := x.now()
	x.now = func() time.Time { return now.Add(by) }
	x.Expire()
}

// TestABurstIsPacked: pods that come before the binding of the one before is seen.
func TestABurstIsPacked(t *testing.T) {
	x := cluster()
	names := []string{"warm-1", "plain"}
	for i := range 7 {
		p := pod("ml", fmt.Sprint("burst-", i), "", "1")
		x.Filter(p, names)
		if scores := x.Score(p, names); scores[0] != extender.MaxScore {
			t.Fatalf("pod %d: scores %v, want the first node again", i, scores)
		}
	}
	if got := x.node("warm-1").Tentative[gpu]; got != 7 {
		t.Errorf("%d GPUs expected, want 7", got)
	}
}

// model is an API server, a scheduler that never overcommits by what it knows, and two replicas of
// the extender, of which it asks the first.
type model struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	x, y   *Index
	pods   map[types.UID]*corev1.Pod
	nodes  []string
	serial int
	// given are the placeholders that are about to be deleted, and for which pod; ahead those that the
	// extender is about to delete itself.
	given map[types.UID]types.UID
	ahead []types.UID
	// cleared is how many it has deleted.
	cleared int
	// refused is how many it could not delete for pods that waited.
	refused int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), pods: map[types.UID]*corev1.Pod{}, nodes: []string{"warm-1", "warm-2", "plain"}, given: map[types.UID]types.UID{}}
	m.x, m.y = m.replica(), m.replica()
	return m
}

// replica is a new index that has seen what the API server holds.
func (m *model) replica() *Index {
	x := NewIndex("hold")
	x.ServeAhead()
	x.namespaces = cluster().namespaces
	x.SetPool(warmPool(2))
	for _, name := range m.nodes {
		pool := "a100"
		if name == "plain" {
			pool = ""
		}
		x.SetNode(node(name, pool))
	}
	for _, uid := range m.uids() {
		x.SetPod(m.pods[uid])
	}
	return x
}

// uids are the pods in a stable order.
func (m *model) uids() []types.UID { return slices.Sorted(maps.Keys(m.pods)) }

// store writes a pod; each replica may be told later, or never.
func (m *model) store(p *corev1.Pod) {
	m.pods[p.UID] = p
	for _, x := range []*Index{m.x, m.y} {
		if m.random.IntN(4) > 0 {
			x.SetPod(p)
		}
	}
}

func (m *model) remove(uid types.UID) {
	p := m.pods[uid]
	delete(m.pods, uid)
	m.x.DropPod(p)
	m.y.DropPod(p)
}

// taken is what pods hold of a node's GPUs, by the API server.
func (m *model) taken(node string) int64 {
	sum := int64(0)
	for _, p := range m.pods {
		if p.Spec.NodeName == node && !Ended(p) {
			sum += quantity.OfPod(p)[gpu]
		}
	}
	return sum
}

func (m *model) fits(p *corev1.Pod, node string) bool {
	return m.taken(node)+quantity.OfPod(p)[gpu] <= 8
}

// place is one cycle of the scheduler: filter, prioritize, and a binding where it says so; preempt
// where there is no room.
func (m *model) place(p *corev1.Pod) {
	fit := slices.DeleteFunc(slices.Clone(m.nodes), func(node string) bool { return !m.fits(p, node) })
	if len(fit) == 0 {
		m.preempt(p)
		return
	}
	var passed []string
	for i, v := range m.x.Filter(p, fit) {
		if !v.Refuses() {
			passed = append(passed, fit[i])
		}
	}
	if len(passed) == 0 {
		return
	}
	chosen := passed[0]
	if len(passed) > 1 {
		scores := m.x.Score(p, passed)
		chosen = passed[slices.Index(scores, slices.Max(scores))]
	}
	if m.random.IntN(5) == 0 {
		return // the binding fails, and nothing is heard of it
	}
	bound := p.DeepCopy()
	bound.Spec.NodeName = chosen
	m.store(bound)
}

// preempt offers all that is cheaper on each node. Placeholders that are answered for one node
// alone are given to the pod; they are deleted in a later step.
func (m *model) preempt(p *corev1.Pod) {
	candidates := Candidates{}
	for _, uid := range m.uids() {
		victim := m.pods[uid]
		if victim.Spec.NodeName != "" && priorityOf(victim) < priorityOf(p) {
			c := candidates[victim.Spec.NodeName]
			c.Pods = append(c.Pods, uid)
			candidates[victim.Spec.NodeName] = c
		}
	}
	maps.DeleteFunc(m.given, func(_, to types.UID) bool { return to == p.UID }) // it is given anew
	answer := m.x.SelectVictims(p, candidates)
	for node, victims := range answer {
		for _, v := range victims.Pods {
			if !slices.Contains(candidates[node].Pods, v.UID) {
				m.t.Fatalf("seed %d: %s is to die on %s, where it was not offered", m.seed, v.UID, node)
			}
		}
	}
	_, victims, is := takeover(answer)
	for _, v := range victims {
		if owner, given := m.given[v.UID]; is && given && m.pods[owner] != nil && m.pods[owner].Spec.NodeName == "" {
			m.t.Fatalf("seed %d: placeholder %s is given to %s and to %s", m.seed, v.UID, owner, p.UID)
		}
		if is {
			m.given[v.UID] = p.UID
		}
	}
}

// clear has the extender that is asked give placeholders ahead.
func (m *model) clear() {
	given, _ := m.x.Ahead()
	for _, p := range given {
		taker := m.x.claims[p.UID].by
		if owner, given := m.given[p.UID]; given && m.pods[owner] != nil && m.pods[owner].Spec.NodeName == "" {
			m.t.Fatalf("seed %d: placeholder %s is given to %s and ahead to %s", m.seed, p.UID, owner, taker)
		}
		m.given[p.UID] = taker
		m.ahead = append(m.ahead, p.UID)
	}
}

// send has the extender delete what it gave ahead, where it is still needed.
func (m *model) send() {
	for _, uid := range m.ahead {
		if m.random.IntN(4) == 0 {
			m.x.Unsent(uid)
		} else if m.x.Send(uid) && m.pods[uid] != nil {
			m.cleared++
			m.remove(uid)
		}
		if !m.x.taken(uid) { // nobody needs it any more
			delete(m.given, uid)
		}
	}
	m.ahead = nil
}

// serve has the extender delete what it gives to a pod that waits; every other deletion fails.
func (m *model) serve() {
	_, given, ok := m.x.Overdue()
	if !ok {
		return
	}
	for _, p := range given {
		if m.random.IntN(2) == 0 {
			m.refused++
			if m.x.Unsent(p.UID); m.x.taken(p.UID) {
				m.t.Fatalf("seed %d: %s could not be deleted, and is given still", m.seed, p.UID)
			}
		} else if delete(m.given, p.UID); m.pods[p.UID] != nil {
			m.remove(p.UID)
		}
	}
	if _, more, ok := m.x.Overdue(); ok && m.x.resting() {
		m.t.Fatalf("seed %d: %v are given after a deletion failed", m.seed, more)
	}
}

// come has some pods alike come at once.
func (m *model) come() {
	for range 1 + m.random.IntN(6) {
		m.serial++
		m.store(prioritized(pod("ml", fmt.Sprintf("p%04d", m.serial), "", "1"), 1))
	}
}

// step does one thing that happens in a cluster.
func (m *model) step() {
	switch m.random.IntN(15) {
	case 0, 1, 2:
		m.serial++
		p := pod([]string{"ml", "web"}[m.random.IntN(2)], fmt.Sprintf("p%04d", m.serial), "", fmt.Sprint(1+m.random.IntN(4)))
		p.Spec.Priority = new(int32(1 + m.random.IntN(2)))
		m.store(p)
		m.place(p)
	case 3:
		m.serial++
		p := placeholder(fmt.Sprintf("h%04d", m.serial), "")
		m.store(p)
		m.place(p)
	case 4, 5:
		for _, uid := range m.uids() {
			if p := m.pods[uid]; p.Spec.NodeName == "" && m.random.IntN(2) == 0 {
				m.place(p)
				break
			}
		}
	case 6:
		if uids := m.uids(); len(uids) > 0 {
			m.remove(uids[m.random.IntN(len(uids))])
		}
	case 7:
		for _, uid := range slices.Sorted(maps.Keys(m.given)) { // the scheduler deletes its victims
			if m.pods[uid] != nil {
				m.remove(uid)
			}
			delete(m.given, uid)
		}
	case 8:
		m.failover()
	case 9:
		m.come()
	case 10, 11:
		m.clear()
	case 12:
		m.send()
	case 13:
		m.serve()
	default:
		by := time.Duration(m.random.IntN(20)) * time.Second
		later(m.x, by)
		later(m.y, by)
		clear(m.given) // some may have run out
	}
}

// failover has the other scheduler lead, which asks the other replica; the one before may have to
// start again. What was given is void.
func (m *model) failover() {
	m.x, m.y = m.y, m.x
	m.x.Reconcile()
	m.y.Reconcile()
	if m.random.IntN(2) == 0 {
		now := m.y.now
		m.y = m.replica()
		m.y.now = now
	}
	clear(m.given)
}

// check holds what must be true of both replicas at any time.
func (m *model) check() {
	for _, name := range m.nodes {
		if got := m.taken(name); got > 8 {
			m.t.Fatalf("seed %d: %d of 8 GPUs taken on %s", m.seed, got, name)
		}
	}
	for _, x := range []*Index{m.x, m.y} {
		m.checkPromises(x)
		for _, uid := range x.holds.Pods() {
			if p, known := x.pods[uid]; known && p.node != "" {
				m.t.Fatalf("seed %d: %s is bound and expected, and so counts twice", m.seed, uid)
			}
		}
	}
}

// checkPromises holds that room is made for pods that wait alone, and for each once.
func (m *model) checkPromises(x *Index) {
	sums := map[string]int64{}
	for uid, p := range x.ahead.promises {
		if p.pod.UID != uid || x.pending[uid].pod == nil {
			m.t.Fatalf("seed %d: room is made for %s, which is not known to wait", m.seed, uid)
		}
		for _, placeholder := range p.placeholders {
			if x.claims[placeholder].by != uid {
				m.t.Fatalf("seed %d: %s was given to %s and is %s's", m.seed, placeholder, uid, x.claims[placeholder].by)
			}
		}
		sums[p.node] += p.requests[gpu]
	}
	for _, name := range m.nodes {
		if got := x.node(name).Cleared[gpu]; got != sums[name] {
			m.t.Fatalf("seed %d: room for %d GPUs is kept on %s, want %d", m.seed, got, name, sums[name])
		}
	}
}

// TestStateNeverOverAllocates: over random filters, bindings, takeovers, deletions, restarts and
// failovers of scheduler and extender no node is given more than it has, no pod counts twice, no
// placeholder is given to two pods, and once all events have come each replica is what the API
// server says.
func TestStateNeverOverAllocates(t *testing.T) {
	cleared, refused := 0, 0
	for seed := range uint64(30) {
		m := newModel(t, seed)
		for range 300 {
			m.step()
			m.check()
		}
		cleared, refused = cleared+m.cleared, refused+m.refused
		for _, x := range []*Index{m.x, m.y} {
			for _, uid := range m.uids() {
				x.SetPod(m.pods[uid])
			}
			for _, name := range m.nodes {
				if got, want := x.node(name).Real[gpu]+x.node(name).Placeholders[gpu], m.taken(name); got != want {
					t.Fatalf("seed %d: %d GPUs on %s, want %d", seed, got, name, want)
				}
			}
		}
		for _, uid := range m.uids() {
			m.remove(uid)
		}
		for _, x := range []*Index{m.x, m.y} {
			later(x, holdFor+time.Second)
			if x.Holds() != 0 || len(x.pods) != 0 || len(x.claims) != 0 || x.node("plain").Real[gpu] != 0 {
				t.Fatalf("seed %d: %d holds, %d claims and %d pods are left of nothing", seed, x.Holds(), len(x.claims), len(x.pods))
			}
		}
	}
	if cleared == 0 || refused == 0 {
		t.Errorf("%d were deleted ahead, %d could not be for pods that waited", cleared, refused)
	}
}

// TestBorrowNever keeps others off whoever is expected.
func TestBorrowNever(t *testing.T) {
	x := cluster()
	never := warmPool(0)
	never.Spec.Borrow = v1alpha1.BorrowNever
	never.Generation = 2
	x.SetPool(never)
	if got := x.Filter(pod("web", "p", "", "1"), []string{"warm-1"}); got[0].Reason == "" {
		t.Error("a pod of another class passes")
	}
	never.Spec.Mode = v1alpha1.ModeObserve
	x.SetPool(never)
	if got := x.Filter(pod("web", "p", "", "1"), []string{"warm-1"}); got[0].Reason != "" {
		t.Errorf("a pool that only observes refuses: %v", got)
	}
}
