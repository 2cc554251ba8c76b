package invariant

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

var began = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

// history is told to a checker: each object replaces the one of its name, and nil after it removes it.
type history struct {
	checker  Checker
	revision int64
	now      time.Time
	stands   map[string]client.Object
	found    []Violation
}

func tell(checker Checker, objects ...client.Object) *history {
	h := &history{checker: checker, now: began, stands: map[string]client.Object{}}
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
	case *metav1.PartialObjectMetadata:
		return "nodeclaim/" + key(o)
	}
	name, _, _ := workload(o)
	return name
}

func (h *history) write(o client.Object) {
	h.revision++
	h.found = append(h.found, h.checker.See(Change{Revision: h.revision, At: h.now, Before: h.stands[id(o)], After: o})...)
	h.stands[id(o)] = o
}

func (h *history) remove(o client.Object) *history {
	h.revision++
	h.found = append(h.found, h.checker.See(Change{Revision: h.revision, At: h.now, Before: h.stands[id(o)]})...)
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
	ceilings := Ceilings{Totals: map[string]int64{"held": 5}}
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

func TestGPUs(t *testing.T) {
	ceilings := Ceilings{GPUs: map[string]int64{"held": 6}}
	gpus := func(o client.Object, n int64) client.Object {
		p := &corev1.Pod{}
		on("", n)(p)
		*template(o) = p.Spec
		return o
	}
	found(t, tell(GPUs(ceilings), gpus(deployment("a", 2), 2), gpus(statefulSet("a", 1), 2), deployment("b", 50)).found)
	found(t, tell(GPUs(ceilings), gpus(deployment("a", 2), 2), gpus(statefulSet("a", 3), 1)).found, "Namespace held has 7 GPUs, at most 6 allowed: deployment/held/a 4, statefulset/held/a 3")
	// The template grows, the number of replicas does not.
	found(t, tell(GPUs(ceilings), gpus(deployment("a", 3), 2), gpus(deployment("a", 3), 3), gpus(deployment("a", 2), 4)).found, "has 9 GPUs")
	found(t, tell(GPUs(Ceilings{}), gpus(deployment("a", 30), 8)).found)
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
	found(t, tell(Evictions("cheap"), pod("ml", "job"), pod(ours, "one"), pod(ours, "one", preempted)).remove(pod("ml", "job")).found)
	found(t, tell(Evictions("cheap"), pod("ml", "job"), pod("ml", "job", preempted), pod("ml", "job", preempted)).found, "pod ml/job on node  was told to go: PreemptionByScheduler")
	found(t, tell(Evictions("cheap"), pod("ml", "work", cheap(1), preempted)).found)
	found(t, tell(Evictions("cheap"), pod("ml", "work", cheap(0), preempted), pod("ml", "dear", on("n", 1), preempted)).found, "ml/work", "ml/dear")
	evicted := func(p *corev1.Pod) { preempted(p); p.Status.Conditions[0].Reason = "EvictionByEvictionAPI" }
	found(t, tell(Evictions("cheap"), pod("ml", "work", cheap(1), evicted)).found, "EvictionByEvictionAPI")
}

// on has a pod hold GPUs on a node.
func on(node string, gpus int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeName = node
		p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": *resource.NewQuantity(gpus, resource.DecimalSI)}}}}
	}
}

// cheap is work on node n that is cheaper than placeholders.
func cheap(gpus int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) { on("n", gpus)(p); p.Spec.PriorityClassName = "cheap" }
}

func TestInstead(t *testing.T) {
	ours := v1alpha1.PlaceholderNamespace
	// evicted is the story of work with two GPUs that is preempted after a time; see changes what stands
	// then, within the same second.
	evicted := func(after time.Duration, see func(*history), stands ...client.Object) (*Instead, []Violation) {
		i := WorkInstead("cheap")
		h := tell(i, append(stands, pod("real", "work", cheap(2)))...)
		h.now = h.now.Add(after)
		h.write(pod("real", "work", cheap(2), preempted))
		see(h)
		if early := i.Look(h.now.Add(Taken - time.Second)); len(early) > 0 {
			t.Errorf("found %v before it could be known", early)
		}
		return i, append(i.Look(h.now.Add(Taken)), i.Look(h.now.Add(time.Hour))...)
	}
	one, other, elsewhere := pod(ours, "one", on("n", 1)), pod(ours, "other", on("n", 1)), pod(ours, "elsewhere", on("m", 8))
	nothing := func(*history) {}
	for name, test := range map[string]struct {
		after  time.Duration
		see    func(*history)
		stands []client.Object
		want   []string
	}{
		"placeholders hold as much":          {time.Minute, nothing, []client.Object{one, other}, []string{"pod real/work on node n was preempted, and placeholders with 2 GPUs stay there: [one other]"}},
		"they hold less":                     {time.Minute, nothing, []client.Object{one, elsewhere}, nil},
		"one of them goes too":               {time.Minute, func(h *history) { h.write(pod(ours, "one", on("n", 1), preempted)) }, []client.Object{one, other}, nil},
		"one of them is gone":                {time.Minute, func(h *history) { h.remove(one) }, []client.Object{one, other}, nil},
		"nobody could know of them yet":      {known - time.Second, nothing, []client.Object{one, other}, nil},
		"none had a node":                    {time.Minute, nothing, []client.Object{pod(ours, "one"), pod(ours, "other")}, nil},
		"more than enough, and one of three": {time.Minute, func(h *history) { h.remove(one) }, []client.Object{one, other, pod(ours, "third", on("n", 1))}, []string{"[other third]"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := evicted(test.after, test.see, test.stands...)
			found(t, got, test.want...)
		})
	}
	i := WorkInstead("cheap")
	tell(i, one, elsewhere, pod("real", "work", cheap(1)), pod(ours, "one", on("n", 1), preempted), pod(ours, "elsewhere", on("m", 8), preempted))
	found(t, i.Look(began.Add(time.Hour)))
	if i.Beside() != 1 {
		t.Errorf("%d placeholders taken over beside work, want one", i.Beside())
	}
}

func claim(name, pool string, change ...func(*metav1.PartialObjectMetadata)) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: ClaimKind}, ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{poolLabel: pool}}}
	for _, c := range change {
		c(o)
	}
	return o
}

func TestMaxNodes(t *testing.T) {
	going := func(o *metav1.PartialObjectMetadata) { o.DeletionTimestamp = &metav1.Time{Time: began} }
	open := map[string]string{"failed-open.validating.webhook.admission.k8s.io/round_0_index_1": "nodeclaims.ceilings.forewarm.dev"}
	var requests []Request
	for _, id := range []string{"a", "b", "c", "d"} {
		requests = append(requests, Request{ID: "nodes-" + id, Code: 201, Completed: began})
	}
	requests = append(requests, Request{ID: "nodes-open", Code: 201, Completed: began, Annotations: open})
	for name, test := range map[string]struct {
		claims []client.Object
		passed int
		want   []string
	}{
		"as many as may":                  {[]client.Object{claim("a", "few"), claim("b", "few"), claim("c", "other")}, 0, nil},
		"one more":                        {[]client.Object{claim("a", "few"), claim("b", "few"), claim("c", "few")}, 1, []string{"NodePool few has 3 NodeClaims that were reviewed, at most 2 allowed: a, b, c"}},
		"one more each time":              {[]client.Object{claim("a", "few"), claim("b", "few"), claim("c", "few"), claim("c", "few"), claim("d", "few")}, 2, []string{"3 NodeClaims", "4 NodeClaims"}},
		"one goes before":                 {[]client.Object{claim("a", "few"), claim("b", "few"), claim("a", "few", going), claim("c", "few")}, 0, nil},
		"one failed open":                 {[]client.Object{claim("a", "few"), claim("open", "few"), claim("c", "few")}, 1, nil},
		"one failed open, and two passed": {[]client.Object{claim("open", "few"), claim("a", "few"), claim("b", "few"), claim("c", "few")}, 2, []string{"3 NodeClaims that were reviewed"}},
		"one is not in the log":           {[]client.Object{claim("a", "few"), claim("lost", "few"), claim("c", "few")}, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			n := MaxNodes("few", 2)
			found(t, tell(n, test.claims...).found)
			found(t, n.Exceeded(requests, "nodes-"), test.want...)
			if n.Passed() != test.passed {
				t.Errorf("passed %d times, want %d", n.Passed(), test.passed)
			}
		})
	}
	n := MaxNodes("few", 1)
	h := tell(n, claim("a", "few")).remove(claim("a", "few"))
	h.write(claim("b", "few"))
	if n.Passed() != 0 {
		t.Error("one that is gone counts")
	}
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
