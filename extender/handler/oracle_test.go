package handler

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender"
)

// replica is an extender and an oracle beside it, which counts devices by the objects that were shown to both
// and by the answers that were given, and knows nothing of the index.
type replica struct {
	x *Index
	// seen are the pods as this replica was last told of them, expected those that it has sent somewhere
	// by its answers, given the placeholders that it gave, by their taker.
	seen     map[types.UID]*corev1.Pod
	expected map[types.UID]expectation
	given    map[types.UID]gift
}

type expectation struct {
	node      string
	gpus      int64
	version   string
	nominated bool
	until     time.Time
}

type gift struct {
	taker types.UID
	until time.Time
}

// oracleWorld is an API server, and replicas of which the leading scheduler asks one.
type oracleWorld struct {
	t        *testing.T
	seed     uint64
	random   *rand.Rand
	now      time.Time
	pods     map[types.UID]*corev1.Pod
	nodes    []string
	replicas []*replica
	asked    int // the replica that the leading scheduler asks
	serial   int
	version  int
	// sent, taken and mixed are how often a pod was sent to a node, took placeholders, and did so where
	// the scheduler would have taken work.
	sent, taken, mixed int
}

func newOracleWorld(t *testing.T, seed uint64) *oracleWorld {
	w := &oracleWorld{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 9)), now: time.Unix(1_800_000_000, 0), pods: map[types.UID]*corev1.Pod{}, nodes: []string{"warm-1", "warm-2", "plain"}}
	for range 3 {
		w.replicas = append(w.replicas, w.start())
	}
	return w
}

// start starts a replica, which sees all that there is.
func (w *oracleWorld) start() *replica {
	r := &replica{x: NewIndex("hold"), seen: map[types.UID]*corev1.Pod{}, expected: map[types.UID]expectation{}, given: map[types.UID]gift{}}
	r.x.now = func() time.Time { return w.now }
	r.x.namespaces = cluster().namespaces
	r.x.SetPool(warmPool(2))
	for _, name := range w.nodes {
		r.x.SetNode(node(name, map[bool]string{true: "", false: "a100"}[name == "plain"]))
	}
	for _, uid := range w.uids() {
		w.show(r, w.pods[uid])
	}
	return r
}

func (w *oracleWorld) uids() []types.UID { return slices.Sorted(maps.Keys(w.pods)) }

// show tells a replica of a pod, and the oracle what follows from that.
func (w *oracleWorld) show(r *replica, p *corev1.Pod) {
	r.x.SetPod(p)
	r.seen[p.UID] = p
	e, has := r.expected[p.UID]
	late := has && e.version != "" && number(p.ResourceVersion) <= number(e.version)
	switch {
	case p.Spec.NodeName != "":
		r.forget(p.UID)
	case late: // the answer was about this version, or a later one
	case p.Status.NominatedNodeName != "":
		r.expected[p.UID] = expectation{node: p.Status.NominatedNodeName, gpus: gpusOf(p), nominated: true, until: w.now.Add(nominatedFor)}
		maps.DeleteFunc(r.given, func(victim types.UID, g gift) bool {
			return g.taker == p.UID && r.seen[victim].Spec.NodeName != p.Status.NominatedNodeName
		})
	case extender.Unschedulable(p) != nil:
		r.forget(p.UID)
	}
}

// forget ends what a pod was expected to take, and what it was given.
func (r *replica) forget(uid types.UID) {
	delete(r.expected, uid)
	maps.DeleteFunc(r.given, func(_ types.UID, g gift) bool { return g.taker == uid })
}

func (w *oracleWorld) hide(r *replica, uid types.UID) {
	r.x.DropPod(w.pods[uid])
	delete(r.seen, uid)
	delete(r.given, uid)
	r.forget(uid)
}

func number(version string) int { n, _ := strconv.Atoi(version); return n }

func gpusOf(p *corev1.Pod) int64 {
	return p.Spec.Containers[0].Resources.Requests.Name(gpu, "").Value()
}

// write stores a pod, and tells each replica or not.
func (w *oracleWorld) write(p *corev1.Pod) {
	w.version++
	p = p.DeepCopy()
	p.ResourceVersion = strconv.Itoa(w.version)
	w.pods[p.UID] = p
	for _, r := range w.replicas {
		if w.random.IntN(4) > 0 {
			w.show(r, p)
		}
	}
}

// used are the devices of a node that are bound, by what somebody has seen.
func used(seen map[types.UID]*corev1.Pod, node string, counts func(*corev1.Pod) bool) (sum int64) {
	for _, p := range seen {
		if p.Spec.NodeName == node && counts(p) {
			sum += gpusOf(p)
		}
	}
	return sum
}

func everyPod(*corev1.Pod) bool { return true }

// free is what the oracle says that a node has left for one pod more, once what was given has gone.
func (r *replica) free(node string, but types.UID) int64 {
	left := 8 - used(r.seen, node, func(p *corev1.Pod) bool { _, given := r.given[p.UID]; return !given })
	for uid, e := range r.expected {
		if e.node == node && uid != but {
			left -= e.gpus
		}
	}
	return left
}

// cycle is one of the scheduler's for a pod.
func (w *oracleWorld) cycle(p *corev1.Pod) {
	r := w.replicas[w.asked]
	fit := slices.DeleteFunc(slices.Clone(w.nodes), func(node string) bool { return used(w.pods, node, everyPod)+gpusOf(p) > 8 })
	if len(fit) == 0 {
		w.preempt(r, p)
		return
	}
	var passed []string
	for i, v := range r.x.Filter(p, fit) {
		if !v.Refuses() {
			passed = append(passed, fit[i])
		}
	}
	delete(r.expected, p.UID)
	if len(passed) == 0 {
		return
	}
	chosen := passed[0]
	if len(passed) > 1 {
		scores := r.x.Score(p, passed)
		chosen = passed[slices.Index(scores, slices.Max(scores))]
		// Who is expected on a node has it, as long as there is another.
		alone := 8 - used(r.seen, chosen, everyPod)
		if room := r.free(chosen, p.UID); room < gpusOf(p) && gpusOf(p) <= alone {
			for _, other := range passed {
				if other != chosen && r.free(other, p.UID) >= gpusOf(p) {
					w.t.Fatalf("seed %d: %s is sent to %s, which has %d GPUs left for it, and %s has %d", w.seed, p.UID, chosen, room, other, r.free(other, p.UID))
				}
			}
		}
	}
	w.sent++
	r.expected[p.UID] = expectation{node: chosen, gpus: gpusOf(p), version: p.ResourceVersion, until: w.now.Add(holdFor)}
	w.check()
	switch w.random.IntN(6) {
	case 0: // the binding fails, and nothing is heard of it
	case 1: // the scheduler says that it could not, after all
		failed := p.DeepCopy()
		failed.Status.Conditions = unschedulablePod("x").Status.Conditions
		w.write(failed)
	case 2: // bound later
	default:
		bound := p.DeepCopy()
		bound.Spec.NodeName = chosen
		w.write(bound)
	}
}

// preempt offers whom the scheduler would take on each node: the cheapest, as many as it takes.
func (w *oracleWorld) preempt(r *replica, p *corev1.Pod) {
	candidates := Candidates{}
	for _, name := range w.nodes {
		var cheaper []*corev1.Pod
		for _, uid := range w.uids() {
			if v := w.pods[uid]; v.Spec.NodeName == name && priorityOf(v) < priorityOf(p) {
				cheaper = append(cheaper, v)
			}
		}
		slices.SortStableFunc(cheaper, func(a, b *corev1.Pod) int { return int(priorityOf(a) - priorityOf(b)) })
		room := 8 - used(w.pods, name, everyPod)
		var c CandidateVictims
		for _, v := range cheaper {
			if room >= gpusOf(p) {
				break
			}
			room += gpusOf(v)
			c.Pods = append(c.Pods, v.UID)
		}
		if room >= gpusOf(p) {
			candidates[name] = c
		}
	}
	answer := r.x.SelectVictims(p, candidates)
	r.forget(p.UID)
	name, victims, is := takeover(answer)
	if !is {
		w.check()
		return
	}
	for _, v := range victims {
		if g, twice := r.given[v.UID]; twice {
			w.t.Fatalf("seed %d: placeholder %s is given to %s and to %s", w.seed, v.UID, g.taker, p.UID)
		}
		r.given[v.UID] = gift{p.UID, w.now.Add(holdFor)}
	}
	swapped := slices.ContainsFunc(victims, func(v extender.Victim) bool { return !slices.Contains(candidates[name].Pods, v.UID) })
	if left := r.free(name, p.UID); swapped && left < gpusOf(p) {
		w.t.Fatalf("seed %d: %s is to take %d placeholders on %s, where %d GPUs are left for it then, and it asks for %d", w.seed, p.UID, len(victims), name, left, gpusOf(p))
	}
	w.taken++
	if swapped {
		w.mixed++
	}
	r.expected[p.UID] = expectation{node: name, gpus: gpusOf(p), version: p.ResourceVersion, until: w.now.Add(holdFor)}
	w.check()
	if w.random.IntN(3) == 0 {
		return // the answer comes too late
	}
	nominated := p.DeepCopy()
	nominated.Status.NominatedNodeName = name
	w.write(nominated)
	for _, v := range victims {
		if w.random.IntN(3) > 0 && w.pods[v.UID] != nil {
			w.remove(v.UID)
		}
	}
}

func (w *oracleWorld) remove(uid types.UID) {
	for _, r := range w.replicas {
		w.hide(r, uid)
	}
	delete(w.pods, uid)
}

// step does one thing that happens.
func (w *oracleWorld) step() {
	pending := slices.DeleteFunc(w.uids(), func(uid types.UID) bool { return w.pods[uid].Spec.NodeName != "" })
	switch n := w.random.IntN(16); {
	case n < 3:
		w.serial++
		p := pod([]string{"ml", "web"}[w.random.IntN(2)], fmt.Sprintf("p%04d", w.serial), "", fmt.Sprint(1+w.random.IntN(4)))
		p.Spec.Priority = new([]int32{-20, 1, 2}[w.random.IntN(3)])
		w.write(p)
		w.cycle(w.pods[p.UID])
	case n < 6:
		w.serial++
		p := pod("hold", fmt.Sprintf("h%04d", w.serial), "", fmt.Sprint(1+w.random.IntN(2)))
		p.Labels, p.Spec.PriorityClassName, p.Spec.Priority = placeholder("x", "").Labels, v1alpha1.PlaceholderPriorityClass, new(int32(-10))
		w.write(p)
		w.cycle(w.pods[p.UID])
	case n < 11 && len(pending) > 0:
		w.cycle(w.pods[pending[w.random.IntN(len(pending))]])
	case n < 12 && len(w.pods) > 0:
		w.remove(w.uids()[w.random.IntN(len(w.pods))])
	case n == 12: // another scheduler leads, and asks another replica
		w.asked = w.random.IntN(len(w.replicas))
		for _, r := range w.replicas {
			r.x.Reconcile()
			for uid, e := range r.expected {
				if !e.nominated {
					r.forget(uid)
				}
			}
		}
	case n == 13: // one starts again
		w.replicas[w.random.IntN(len(w.replicas))] = w.start()
	case n == 14: // what came late comes
		r := w.replicas[w.random.IntN(len(w.replicas))]
		for _, uid := range w.uids() {
			w.show(r, w.pods[uid])
		}
	default:
		w.pass(time.Duration(w.random.IntN(20)) * time.Second)
	}
}

// pass lets time pass.
func (w *oracleWorld) pass(by time.Duration) {
	w.now = w.now.Add(by)
	for _, r := range w.replicas {
		r.x.Expire()
		maps.DeleteFunc(r.expected, func(_ types.UID, e expectation) bool { return w.now.After(e.until) })
		maps.DeleteFunc(r.given, func(_ types.UID, g gift) bool { return w.now.After(g.until) })
	}
}

// check compares each replica with its oracle.
func (w *oracleWorld) check() {
	for _, name := range w.nodes {
		if n := used(w.pods, name, everyPod); n > 8 {
			w.t.Fatalf("seed %d: %d of 8 GPUs are bound on %s", w.seed, n, name)
		}
		for i, r := range w.replicas {
			var want int64
			for _, e := range r.expected {
				if e.node == name {
					want += e.gpus
				}
			}
			n := r.x.node(name)
			if got := n.Tentative[gpu]; got != want {
				w.t.Fatalf("seed %d: replica %d expects %d GPUs to be taken on %s, want %d by its answers: %v", w.seed, i, got, name, want, r.expected)
			}
			if got, want := n.Real[gpu]+n.Placeholders[gpu], used(r.seen, name, everyPod); got != want {
				w.t.Fatalf("seed %d: replica %d counts %d GPUs on %s, want %d by what it was told", w.seed, i, got, name, want)
			}
			for _, v := range n.Stand {
				if _, given := r.given[v.UID]; given != v.Taken {
					w.t.Fatalf("seed %d: replica %d has given %s: %t, want %t by its answers", w.seed, i, v.UID, v.Taken, given)
				}
			}
		}
	}
}

// TestAnOracleCountsTheSame: over random filters, bindings, takeovers, deletions, restarts and failovers, with
// three replicas that learn of things late, and of some never, no node is sent more than it has where another
// has room, no takeover leaves its pod too little beside those who are expected, and each replica expects
// what its answers say, no more and no less.
func TestAnOracleCountsTheSame(t *testing.T) {
	sent, taken, mixed := 0, 0, 0
	for seed := range uint64(60) {
		w := newOracleWorld(t, seed)
		for range 400 {
			w.step()
			w.check()
		}
		sent, taken, mixed = sent+w.sent, taken+w.taken, mixed+w.mixed
		for _, uid := range w.uids() {
			w.remove(uid)
		}
		w.pass(nominatedFor + time.Second)
		for _, r := range w.replicas {
			if r.x.Holds() != 0 || len(r.x.claims) != 0 || len(r.x.pods) != 0 || len(r.x.pending) != 0 {
				t.Fatalf("seed %d: %d holds, %d claims, %d pods are left of nothing", seed, r.x.Holds(), len(r.x.claims), len(r.x.pods))
			}
		}
	}
	if sent < 1000 || taken < 100 || mixed < 20 {
		t.Errorf("%d pods were sent somewhere, %d took placeholders, %d of them instead of work: too few to tell", sent, taken, mixed)
	}
}
