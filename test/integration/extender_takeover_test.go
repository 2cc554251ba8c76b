package integration

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestExtender shows on a real scheduler who takes warm capacity over, who does not, and
// that scheduling goes on without us. The parts run in this order.
func TestExtender(t *testing.T) {
	e := newExtenderEnv(t)
	cheap := extenderPod("web", "cheap", "busy", 8)
	cheap.Spec.PriorityClassName = "cheap"
	e.create(t, cheap)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *extenderEnv)
	}{
		{"a pod without GPUs costs no call", extenderNoCall},
		{"GPU pods are packed on the fullest node", extenderPacks},
		{"the placeholders of a pool go to its guarded nodes", extenderPlaceholders},
		{"a pod of another class takes no placeholder", extenderOutsiderPreempts},
		{"a pod of the class takes a placeholder, not the cheaper real work", func(t *testing.T, e *extenderEnv) {
			extenderTakeover(t, e, cheap)
		}},
		{"nor takes it free room while owners are expected", extenderOutsiderFilter},
		{"ordinary preemption goes on", func(t *testing.T, e *extenderEnv) { extenderOrdinary(t, e, cheap) }},
		{"a pool that never lends, lends", extenderBorrow},
		{"a pod with the marker is seen", extenderMarked},
		{"its answers cost the API server nothing", extenderAsksNobody},
		{"with the API server stopped, it answers as before", extenderAlone},
		{"placeholders die, not the cheaper work beside them", extenderMixed},
		{"hung, it costs its timeout and no more", extenderHangs},
		{"killed in a burst, nothing counts twice and nothing is held", extenderBurst},
		{"with the extender dead, scheduling and takeover go on", extenderDead},
		{"it comes back, and ends by SIGTERM", extenderRestart},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

func extenderNoCall(t *testing.T, e *extenderEnv) {
	before := e.requests(t)
	e.create(t, extenderPod("web", "no-gpu", "plain", 0))
	if diff := cmp.Diff(before, e.requests(t)); diff != "" {
		t.Errorf("calls (-before +after):\n%s", diff)
	}
}

func extenderPacks(t *testing.T, e *extenderEnv) {
	// A pod may come before the extender has seen the binding of the one before; then it
	// sees two empty nodes, and another attempt is fair.
	cluster.Eventually(t, extenderWait, func() error {
		var pods []*corev1.Pod
		nodes := map[string]bool{}
		for _, name := range []string{"pack-1", "pack-2", "pack-3", "pack-4"} {
			pod := extenderPod("web", name, "plain", 2)
			nodes[e.create(t, pod)] = true
			pods = append(pods, pod)
		}
		e.remove(t, pods...)
		if len(nodes) != 1 {
			return fmt.Errorf("4 pods of 2 GPUs on %v, want one node", nodes)
		}
		return nil
	})
}

func extenderPlaceholders(t *testing.T, e *extenderEnv) {
	for _, name := range []string{"hold-1", "hold-2"} {
		e.create(t, extenderPlaceholder(name))
	}
}

func extenderOutsiderPreempts(t *testing.T, e *extenderEnv) {
	before := e.requests(t)["preempt ok"]
	outsider := extenderPod("web", "outsider", "warm", 8)
	if err := e.Client.Create(t.Context(), outsider); err != nil {
		t.Fatal(err)
	}
	e.refused(t, outsider, "Insufficient "+string(cluster.GPU))
	if after := e.requests(t)["preempt ok"]; after <= before {
		t.Errorf("preempt was called %v times before and %v after", before, after)
	}
	if got := e.placeholders(t); len(got) != 2 {
		t.Errorf("placeholders on %v, want 2", got)
	}
	e.remove(t, outsider)
}

// extenderTakeover shows what plain preemption would not do: it takes the victim of the
// lowest priority, which is real work on node busy-0.
func extenderTakeover(t *testing.T, e *extenderEnv, cheap *corev1.Pod) {
	other := extenderPod("web", "other", "plain", 8)
	another := extenderPod("web", "another", "plain", 8)
	e.create(t, other)
	e.create(t, another) // nothing is free any more
	train := extenderPod("ml", "train", "", 8)
	node := e.create(t, train)
	if node != "warm-0" && node != "warm-1" {
		t.Errorf("train runs on %s, want a node of the pool", node)
	}
	e.untouched(t, cheap)
	if got := e.placeholders(t); len(got) != 1 || got[0] == node {
		t.Errorf("placeholders on %v, want one, not on %s", got, node)
	}
	e.remove(t, train, other, another)
}

// freedWithin is how soon a pod must be bound that is let through again: within the second that is
// promised. Before Kubernetes 1.33 the scheduler also leaves it in its back-off, a second here, and
// looks each second whose is over.
func freedWithin(t *testing.T, e *extenderEnv) time.Duration {
	t.Helper()
	if e.Before(t, "1.33") {
		return 3 * time.Second
	}
	return time.Second
}

func extenderOutsiderFilter(t *testing.T, e *extenderEnv) {
	outsider := extenderPod("web", "guest", "warm", 1)
	if err := e.Client.Create(t.Context(), outsider); err != nil {
		t.Fatal(err)
	}
	e.refused(t, outsider, "kept warm for the demand class of WarmPool a100")
	owner := extenderPod("ml", "owner", "warm", 1)
	e.create(t, owner)
	freed := time.Now()
	e.expect(t, 0)
	// Status of a WarmPool wakes no pod up in the scheduler: the extender touches the pod.
	e.bound(t, outsider)
	if took, most := time.Since(freed), freedWithin(t, e); took > most {
		t.Errorf("bound %s after the pool let it, want at most %s", took, most)
	}
	if outsider.Annotations[v1alpha1.AnnotationRequeued] == "" {
		t.Error("the pod was not touched by the extender")
	}
	e.expect(t, 2)
	e.remove(t, outsider, owner)
}

func extenderOrdinary(t *testing.T, e *extenderEnv, cheap *corev1.Pod) {
	urgent := extenderPod("web", "urgent", "busy", 8)
	e.create(t, urgent)
	if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(cheap), &corev1.Pod{}); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the cheaper pod still stands (%v), although urgent took its node", err)
	}
}

func extenderDead(t *testing.T, e *extenderEnv) {
	e.process.Kill()
	e.create(t, extenderPod("ml", "alone-1", "warm", 8))
	e.create(t, extenderPod("ml", "alone-2", "warm", 8))
	if got := e.placeholders(t); len(got) != 0 {
		t.Errorf("placeholders on %v, want none", got)
	}
}

func extenderRestart(t *testing.T, e *extenderEnv) {
	e.start(t)
	e.create(t, extenderPod("web", "back", "plain", 1))
	if got := e.requests(t)["filter ok"]; got == 0 {
		t.Errorf("the scheduler does not call: %v", e.requests(t))
	}
	if err := e.process.Stop(10 * time.Second); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, e.process.Log())
	}
	if response, err := http.Get("http://" + e.health + "/readyz"); err == nil {
		_ = response.Body.Close()
		t.Error("it still answers")
	}
}
