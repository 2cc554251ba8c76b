package invariant

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

var began = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

// history is told to a checker: each object replaces the one of its name, and nil after it removes it.
type history struct {
	checker  Checker
	revision int64
	stands   map[string]client.Object
	found    []Violation
}

func tell(checker Checker, objects ...client.Object) *history {
	h := &history{checker: checker, stands: map[string]client.Object{}}
	for _, o := range objects {
		h.write(o)
	}
	return h
}

func id(o client.Object) string {
	switch o.(type) {
	case *corev1.Pod:
		return "pod/" + key(o)
	case *v1alpha1.Decision:
		return "decision/" + key(o)
	}
	name, _, _ := workload(o)
	return name
}

func (h *history) write(o client.Object) {
	h.revision++
	h.found = append(h.found, h.checker.See(Change{Revision: h.revision, At: began, Before: h.stands[id(o)], After: o})...)
	h.stands[id(o)] = o
}

func (h *history) remove(o client.Object) *history {
	h.revision++
	h.found = append(h.found, h.checker.See(Change{Revision: h.revision, At: began, Before: h.stands[id(o)]})...)
	delete(h.stands, id(o))
	return h
}

// found fails unless exactly these texts were found, in their order.
func found(t *testing.T, got []Violation, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("found %+v, want %d", got, len(want))
		return
	}
	for i, text := range want {
		if !strings.Contains(got[i].Says, text) || got[i].Invariant == "" {
			t.Errorf("found %+v, want it to say %q", got[i], text)
		}
	}
}

func deployment(name string, replicas int32) client.Object {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "held", Name: name}}
	d.Spec.Replicas = &replicas
	return d
}

func statefulSet(name string, replicas int32) client.Object {
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "held", Name: name}}
	s.Spec.Replicas = &replicas
	return s
}

func TestMaxReplicas(t *testing.T) {
	ceilings := Ceilings{Workloads: map[string]int32{"deployment/held/web": 3, "deployment/held/none": 0}}
	found(t, tell(MaxReplicas(ceilings), deployment("web", 3), deployment("other", 9), statefulSet("web", 9), deployment("web", 0)).found)
	found(t, tell(MaxReplicas(ceilings), deployment("web", 2), deployment("web", 4)).found, "deployment/held/web has 4 replicas, at most 3")
	found(t, tell(MaxReplicas(ceilings), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "held", Name: "none"}}).found, "has 1 replicas, at most 0")
}

func TestTotals(t *testing.T) {
	ceilings := Ceilings{Totals: map[string]int32{"held": 5}}
	found(t, tell(Totals(ceilings), deployment("a", 3), statefulSet("a", 2), deployment("a", 1), deployment("b", 2)).found)
	found(t, tell(Totals(ceilings), deployment("a", 3), statefulSet("a", 3)).found, "held has 6 replicas, at most 5 allowed: deployment/held/a 3, statefulset/held/a 3")
	freed := tell(Totals(ceilings), deployment("a", 3), deployment("b", 2)).remove(deployment("a", 3))
	freed.write(deployment("c", 3))
	found(t, freed.found)
	freed.write(deployment("d", 1))
	found(t, freed.found, "has 6 replicas")
	freed.write(deployment("d", 1)) // it did not grow
	found(t, freed.found, "has 6 replicas")
}

func pod(namespace, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelPool: "a100"}}}
	for _, c := range change {
		c(p)
	}
	return p
}

func preempted(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler}}
}

func TestEvictions(t *testing.T) {
	ours := v1alpha1.PlaceholderNamespace
	found(t, tell(Evictions(), pod("ml", "job"), pod(ours, "one"), pod(ours, "one", preempted)).remove(pod("ml", "job")).found)
	found(t, tell(Evictions(), pod("ml", "job"), pod("ml", "job", preempted), pod("ml", "job", preempted)).found, "pod ml/job on node  was told to go: PreemptionByScheduler")
}

func TestDeadlines(t *testing.T) {
	started := func(seconds int64) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.ActiveDeadlineSeconds, p.Status.StartTime = &seconds, &metav1.Time{Time: began}
		}
	}
	failed := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	ours := v1alpha1.PlaceholderNamespace
	h := tell(Deadlines(10*time.Second), pod(ours, "early", started(60)), pod(ours, "late", started(30)), pod(ours, "ended", started(5)), pod(ours, "ended", started(5), failed),
		pod(ours, "gone", started(5)), pod("ml", "another's", started(1)))
	h.remove(pod(ours, "gone"))
	found(t, h.found)
	found(t, h.checker.Look(began.Add(40*time.Second)))
	found(t, h.checker.Look(began.Add(41*time.Second)), "late stands 11s after its deadline")
	found(t, h.checker.Look(began.Add(42*time.Second)))
	found(t, tell(Deadlines(0), pod(ours, "eternal")).found, "eternal has no deadline")
}

func decision(name string, create, ungate int32, mode v1alpha1.Mode) *v1alpha1.Decision {
	return &v1alpha1.Decision{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.DecisionSpec{Pool: "a100", Mode: mode, Create: create, Ungate: ungate}}
}

func TestDecisions(t *testing.T) {
	ours := v1alpha1.PlaceholderNamespace
	waits := func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.GatePrewarm}} }
	act := v1alpha1.ModeEnforce
	found(t, tell(Decisions(2), decision("1", 2, 1, act), pod(ours, "a", waits), pod(ours, "b", waits), pod(ours, "a"), pod("ml", "job")).found)
	found(t, tell(Decisions(2), decision("1", 1, 0, act), pod(ours, "a", waits), pod(ours, "a")).found, "a was ungated, and no Decision")
	found(t, tell(Decisions(2), pod(ours, "a", waits), decision("1", 1, 1, act), pod(ours, "a")).found, "a was made, and no Decision")
	found(t, tell(Decisions(2), decision("1", 1, 1, v1alpha1.ModeObserve), pod(ours, "a", waits)).found, "a was made, and no Decision")
	found(t, tell(Decisions(2), decision("1", 0, 0, act), decision("2", 0, 0, act), decision("3", 0, 0, act)).remove(decision("1", 0, 0, act)).found)
	found(t, tell(Decisions(2), decision("1", 0, 0, act), decision("2", 0, 0, act)).remove(decision("1", 0, 0, act)).found, "Decision 1 is gone with 2 kept")
}

func TestFailedOpen(t *testing.T) {
	reviewed := map[string]string{"workloads.ceilings.forewarm.dev/reason": "Below"}
	open := map[string]string{"failed-open.validating.webhook.admission.k8s.io/round_0_index_1": "workloads.ceilings.forewarm.dev"}
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	requests := []Request{
		{"grows-1", 200, at(1), reviewed},
		{"grows-2", 201, at(2), open},
		{"grows-3", 403, at(3), nil},
		{"other-1", 200, at(4), nil},
		{"grows-4", 200, at(11), open},
		{"grows-5", 200, at(12), open},
		{"grows-6", 200, at(19), open},
	}
	found(t, Unseen(requests, "grows-"))
	planted := append(requests, Request{"grows-7", 200, at(20), map[string]string{"another.example.com/reason": "x"}}, Request{"grows-8", 0, at(21), nil})
	found(t, Unseen(planted, "grows-"), "grows-7")
	lives := func(first, second float64) []Life {
		return []Life{{at(0), Count{at(9), first}}, {at(10), Count{at(15), second}}, {at(20), Count{}}}
	}
	found(t, Uncounted(requests, lives(1, 2)))
	found(t, Uncounted(requests, lives(0, 2)), "1 requests failed open")
	found(t, Uncounted(requests, lives(1, 1)), "2 requests failed open")
}
