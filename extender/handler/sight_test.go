package handler

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// seen is a node full of eight placeholders, of whose scheduler the extender has heard; no other has room
// for a pod.
func seen() *Index {
	x := bursting()
	for i := range 6 {
		x.DropPod(job(i))
	}
	x.SetPod(pod("web", "fills-warm-2", "warm-2", "4"))
	x.SetPod(pod("web", "fills-plain", "plain", "8"))
	x.Filter(pod("web", "asks", "", "1"), []string{"plain"})
	x.DropPod(pod("web", "asks", "", "1"))
	return x
}

// TestAPodIsServedAtSight: a pod for which there is no free room is given a placeholder before the
// scheduler is heard of it, also one that comes alone; and nobody else.
func TestAPodIsServedAtSight(t *testing.T) {
	come := func(edit func(x *Index, p *corev1.Pod)) func(x *Index) {
		return func(x *Index) {
			p := job(1)
			edit(x, p)
			x.SetPod(p)
		}
	}
	roomOn := func(name string, edit func(*corev1.Node)) func(x *Index) {
		return come(func(x *Index, _ *corev1.Pod) {
			n := node(name, "")
			edit(n)
			x.SetNode(n)
		})
	}
	repels := pod("web", "repels", "plain", "0")
	repels.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
		{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "train"}}},
	}}}
	labelled := func(_ *Index, p *corev1.Pod) { p.Labels = map[string]string{"app": "train"} }
	for name, test := range map[string]struct {
		then  func(x *Index)
		given bool
	}{
		"it comes":                  {come(func(*Index, *corev1.Pod) {}), true},
		"nobody has asked":          {come(func(x *Index, _ *corev1.Pod) { x.Reconcile() }), false},
		"another scheduler's":       {come(func(_ *Index, p *corev1.Pod) { p.Spec.SchedulerName = "other" }), false},
		"nobody deletes":            {come(func(x *Index, _ *corev1.Pod) { x.ahead.on = false }), false},
		"the pool lends":            {come(func(x *Index, _ *corev1.Pod) { x.SetPool(warmPool(0)) }), false},
		"it preempts nobody":        {come(func(_ *Index, p *corev1.Pod) { p.Spec.PreemptionPolicy = new(corev1.PreemptNever) }), false},
		"of another class":          {come(func(_ *Index, p *corev1.Pod) { p.Namespace = "web" }), false},
		"it has a gate":             {come(func(_ *Index, p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }), false},
		"it goes elsewhere":         {come(func(_ *Index, p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"pool": "other"} }), false},
		"a pod keeps it away":       {come(func(x *Index, p *corev1.Pod) { x.SetPod(repels); labelled(x, p) }), false},
		"a pod kept it away":        {come(func(x *Index, p *corev1.Pod) { x.SetPod(repels); x.DropPod(repels); labelled(x, p) }), true},
		"a pod keeps others away":   {come(func(x *Index, _ *corev1.Pod) { x.SetPod(repels) }), true},
		"there is room":             {roomOn("roomy", func(*corev1.Node) {}), false},
		"there is room, for others": {roomOn("roomy", func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoExecute}} }), true},
		"there is room, if need be": {roomOn("roomy", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectPreferNoSchedule}}
		}), false},
		"there is room, cordoned": {roomOn("roomy", func(n *corev1.Node) { n.Spec.Unschedulable = true }), true},
		"room will be there": {come(func(x *Index, _ *corev1.Pod) {
			x.DropPod(pod("web", "fills-plain", "plain", "8"))
		}), false},
		"its node is tainted": {come(func(x *Index, _ *corev1.Pod) {
			n := node("warm-1", "a100")
			n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}
			x.SetNode(n)
		}), false},
		"there is room in the pool": {come(func(x *Index, _ *corev1.Pod) { x.DropPod(placeholder("hold-1", "warm-1")) }), false},
		"the scheduler names it":    {come(func(x *Index, _ *corev1.Pod) { x.SetPod(job(0)); x.Ahead(); askAbout(x, job(0)) }), true},
		"the scheduler names others": {come(func(x *Index, _ *corev1.Pod) {
			x.SetPod(job(0))
			x.Ahead()
			x.SelectVictims(job(0), Candidates{"warm-2": {Pods: []types.UID{"fills-warm-2"}}})
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			x := seen()
			test.then(x)
			got, _ := givenAhead(x)
			if slices.Contains(got, types.UID("job-1")) != test.given {
				t.Errorf("given to %v, want to job-1: %v", got, test.given)
			}
		})
	}
}

// TestFreeRoomIsCountedOnce: of three pods one finds free room, and two are given placeholders.
func TestFreeRoomIsCountedOnce(t *testing.T) {
	x := seen()
	x.DropPod(pod("web", "fills-plain", "plain", "8"))
	x.SetPod(pod("web", "fills-plain", "plain", "7"))
	for i := range 3 {
		x.SetPod(job(i))
	}
	if got, _ := givenAhead(x); !slices.Equal(got, []types.UID{"job-1", "job-2"}) {
		t.Errorf("given to %v, want job-1 and job-2", got)
	}
	if hold, _ := x.holds.Of("job-0"); hold.Node != "plain" {
		t.Errorf("job-0 is expected on %q", hold.Node)
	}
}
