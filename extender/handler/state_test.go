package handler

import (
	"fmt"
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

// model is a scheduler that never overcommits by what it knows, and an API server.
type model struct {
	t      *testing.T
	random *rand.Rand
	x      *Index
	pods   map[types.UID]*corev1.Pod
	nodes  []string
	serial int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, random: rand.New(rand.NewPCG(seed, 1)), pods: map[types.UID]*corev1.Pod{}, nodes: []string{"warm-1", "warm-2", "plain"}}
	m.restart()
	return m
}

// restart has a new index see what the API server holds.
func (m *model) restart() {
	m.x = NewIndex("hold")
	base := cluster()
	m.x.namespaces = base.namespaces
	m.x.SetPool(warmPool(2))
	for _, name := range m.nodes {
		pool := "a100"
		if name == "plain" {
			pool = ""
		}
		m.x.SetNode(node(name, pool))
	}
	for _, p := range m.pods {
		m.x.SetPod(p)
	}
}

// taken is what pods hold of a node's GPUs, by the API server.
func (m *model) taken(node string) int64 {
	sum := int64(0)
	for _, p := range m.pods {
		if p.Spec.NodeName == node && !ended(p) {
			sum += quantity.OfPod(p)[gpu]
		}
	}
	return sum
}

// place is one cycle of the scheduler: filter, prioritize, and a binding where it says so.
func (m *model) place(p *corev1.Pod) {
	var fit []string
	for _, name := range m.nodes {
		if m.taken(name)+quantity.OfPod(p)[gpu] <= 8 {
			fit = append(fit, name)
		}
	}
	if len(fit) == 0 {
		return
	}
	var passed []string
	for i, v := range m.x.Filter(p, fit) {
		if v.Reason == "" {
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
	m.pods[p.UID] = bound
	if m.random.IntN(4) > 0 {
		m.x.SetPod(bound)
	}
}

func (m *model) step() {
	switch m.random.IntN(8) {
	case 0, 1, 2:
		m.serial++
		p := pod([]string{"ml", "web"}[m.random.IntN(2)], fmt.Sprint("p", m.serial), "", fmt.Sprint(1+m.random.IntN(4)))
		m.pods[p.UID] = p
		m.x.SetPod(p)
		m.place(p)
	case 3, 4:
		for _, p := range m.pods {
			if p.Spec.NodeName == "" {
				m.place(p)
				break
			}
		}
	case 5:
		for uid, p := range m.pods {
			delete(m.pods, uid)
			m.x.DropPod(p)
			break
		}
	case 6:
		if m.random.IntN(5) == 0 {
			m.restart()
		}
		m.x.Reconcile()
	default:
		later(m.x, time.Duration(m.random.IntN(20))*time.Second)
	}
}

// TestStateNeverOverAllocates: over random filters, bindings, deletions, restarts and changes of
// the scheduler no node is given more than it has, no pod counts twice, and once all events have
// come the index is what the API server says.
func TestStateNeverOverAllocates(t *testing.T) {
	for seed := range uint64(30) {
		m := newModel(t, seed)
		for range 300 {
			m.step()
			for _, name := range m.nodes {
				if got := m.taken(name); got > 8 {
					t.Fatalf("seed %d: %d of 8 GPUs taken on %s", seed, got, name)
				}
			}
			for _, uid := range m.x.holds.Pods() {
				if _, bound := m.x.pods[uid]; bound {
					t.Fatalf("seed %d: %s is bound and expected, and so counts twice", seed, uid)
				}
			}
		}
		for _, p := range m.pods {
			m.x.SetPod(p)
		}
		for _, name := range m.nodes {
			if got, want := m.x.node(name).Real[gpu], m.taken(name); got != want {
				t.Fatalf("seed %d: %d GPUs on %s, want %d", seed, got, name, want)
			}
		}
		for _, p := range m.pods {
			m.x.DropPod(p)
		}
		later(m.x, holdFor+time.Second)
		if m.x.Holds() != 0 || len(m.x.pods) != 0 || m.x.node("plain").Real[gpu] != 0 {
			t.Fatalf("seed %d: %d holds and %d pods are left of nothing", seed, m.x.Holds(), len(m.x.pods))
		}
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
