package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// extenderMarked: a pod that gets its GPUs by claims asks for nothing that is counted, and is
// seen by the marker; so is no other.
func extenderMarked(t *testing.T, e *extenderEnv) {
	before := e.requests(t)["filter ok"]
	e.create(t, askingPod("marked", "plain", v1alpha1.ResourceManaged))
	if after := e.requests(t)["filter ok"]; after <= before {
		t.Errorf("filter was called %v times before and %v after a marked pod", before, after)
	}
}

// extenderMixed: on each node of the pool stands a placeholder beside work of a lower priority,
// which the scheduler would take first.
func extenderMixed(t *testing.T, e *extenderEnv) {
	if err := e.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(v1alpha1.PlaceholderNamespace), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	var work []*corev1.Pod
	for i := range 2 {
		cheap := extenderPod("ml", fmt.Sprint("cheap-", i), "warm", 4)
		cheap.Spec.NodeSelector[corev1.LabelHostname] = fmt.Sprint("warm-", i)
		cheap.Spec.PriorityClassName = "cheap"
		e.create(t, cheap)
		work = append(work, cheap)
	}
	for i := range 8 {
		p := extenderPlaceholder(fmt.Sprint("mixed-", i))
		p.Spec.Containers[0].Resources = extenderPod("", "", "", 1).Spec.Containers[0].Resources
		e.create(t, p)
	}
	var takers []*corev1.Pod
	for i := range 8 {
		taker := extenderPod("ml", fmt.Sprint("taker-", i), "warm", 1)
		if err := e.Client.Create(t.Context(), taker); err != nil {
			t.Fatal(err)
		}
		takers = append(takers, taker)
	}
	for _, taker := range takers {
		e.bound(t, taker)
	}
	for _, cheap := range work {
		e.untouched(t, cheap)
	}
	if got := e.placeholders(t); len(got) != 0 {
		t.Errorf("placeholders on %v, want all taken over", got)
	}
	e.remove(t, append(takers, work...)...)
	e.create(t, extenderPlaceholder("hold-3"))
}

// burstPod goes to the nodes of the burst, which no other pod tolerates.
func burstPod(name string, gpus int64) *corev1.Pod {
	pod := extenderPod("web", name, "burst", gpus)
	pod.Spec.Tolerations = []corev1.Toleration{{Key: "test.dev/burst", Operator: corev1.TolerationOpExists}}
	return pod
}

// burstPods are how many pods of one GPU come at once; there is room for 80.
const burstPods = 1000

// extenderBurst: the extender is killed in the middle of a burst, and comes back.
func extenderBurst(t *testing.T, e *extenderEnv) {
	for i := range burstPods {
		if err := e.Client.Create(t.Context(), burstPod(fmt.Sprint("burst-", i), 1)); err != nil {
			t.Fatal(err)
		}
		if i == 40 {
			e.process.Kill()
		}
		if i == 300 {
			e.start(t)
		}
	}
	taken := map[string]int{}
	cluster.Eventually(t, extenderWait, func() error {
		var pods corev1.PodList
		if err := e.Client.List(t.Context(), &pods, client.InNamespace("web")); err != nil {
			return err
		}
		clear(taken)
		waiting := 0
		for i := range pods.Items {
			pod := &pods.Items[i]
			switch why := extenderCondition(pod); {
			case !strings.HasPrefix(pod.Name, "burst-"):
			case pod.Spec.NodeName != "":
				taken[pod.Spec.NodeName]++
			case strings.HasPrefix(why, corev1.PodReasonUnschedulable):
				waiting++
			case why != "":
				return fmt.Errorf("%s: %s", pod.Name, why)
			}
		}
		if waiting != burstPods-80 {
			return fmt.Errorf("%d pods wait, want %d", waiting, burstPods-80)
		}
		return nil
	})
	for node, pods := range taken {
		if pods != 8 {
			t.Errorf("%d pods of one GPU on %s of 8", pods, node)
		}
	}
	if len(taken) != 10 {
		t.Errorf("pods on %d nodes, want 10", len(taken))
	}
	if log := e.LogOf("kube-scheduler"); strings.Contains(log, "binding rejected") {
		t.Error("the scheduler had bindings rejected")
	}
	if err := e.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("web"), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	e.nobodyExpected(t)
}

// extenderHangs: the process is stopped and answers nothing. Each call costs the scheduler its
// httpTimeout, and a GPU pod has two.
func extenderHangs(t *testing.T, e *extenderEnv) {
	if err := syscall.Kill(e.process.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(e.process.PID(), syscall.SIGCONT) }()
	started := time.Now()
	ahead := burstPod("ahead", 1)
	if err := e.Client.Create(t.Context(), ahead); err != nil {
		t.Fatal(err)
	}
	e.create(t, burstPod("behind", 0))
	// Two calls of 300 ms, and as much again for a machine that is busy with other things.
	if took := time.Since(started); took > 2*(2*300*time.Millisecond)+time.Second {
		t.Errorf("a pod that does not concern the extender waited %s behind one that does", took)
	}
	e.bound(t, ahead) // an extender that may be ignored does not keep it
	if err := syscall.Kill(e.process.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	e.remove(t, ahead)
}
