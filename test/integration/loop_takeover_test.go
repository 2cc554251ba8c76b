package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
	"forewarm.dev/test/cluster"
)

// warmNode is the node that the placeholders stand on.
func (e *loopEnv) warmNode(t *testing.T) string {
	t.Helper()
	_, open, err := e.stands(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range open {
		return pod.Spec.NodeName
	}
	t.Fatal("no placeholder stands on a node")
	return ""
}

// loopOutsider: a pod of namespace web gets neither free room of the pool's node nor, when
// that is full, a placeholder's place. It selects a label that only this node has, so that
// Karpenter has nothing to buy.
func loopOutsider(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	here := map[string]string{"test": "here"}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: e.warmNode(t)}}
	if err := e.Client.Patch(ctx, node, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"test":"here"}}}`))); err != nil {
		t.Fatal(err)
	}
	for i, says := range []string{"kept warm for the demand class of WarmPool " + loopName, "Insufficient " + string(cluster.GPU)} {
		outsider := loopPod("web", fmt.Sprintf("outsider-%d", i), 1, here)
		e.create(t, outsider)
		refused := func() error {
			if err := e.Client.Get(ctx, client.ObjectKeyFromObject(outsider), outsider); err != nil {
				return err
			}
			if message := extenderCondition(outsider); outsider.Spec.NodeName != "" || !strings.Contains(message, says) {
				return fmt.Errorf("%s on node %q says %q, want %q", outsider.Name, outsider.Spec.NodeName, message, says)
			}
			return nil
		}
		cluster.Eventually(t, loopWait, refused)
		loopNever(t, loopWindow, func() error {
			if made, _, preempted, deleted := e.pods.counts(); made != loopMost || preempted != 0 || deleted != 0 {
				return fmt.Errorf("%d placeholders made, %d preempted, %d deleted; want %d 0 0", made, preempted, deleted, loopMost)
			}
			return refused()
		})
		if err := e.Client.Delete(ctx, outsider, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // the owners fill the node up
			filler := loopPod("ml", "filler", 8-loopHeld, here)
			e.create(t, filler)
			e.bound(t, filler)
		}
	}
}

// takeover creates pods of the class where every GPU is taken, one after the other, and shows that
// each stands in a placeholder's place within seconds, that real work of lower priority which fits
// just as well is left alone, and that nothing is bought.
func (e *loopEnv) takeover(t *testing.T, names ...string) {
	t.Helper()
	ctx := t.Context()
	node := e.warmNode(t)
	nodes, _, err := e.bought(ctx)
	if err != nil {
		t.Fatal(err)
	}
	made, _, before, deleted := e.pods.counts()
	cheap := &corev1.Pod{}
	if err := e.Client.Get(ctx, client.ObjectKey{Namespace: "web", Name: "cheap"}, cheap); err != nil {
		t.Fatal(err)
	}
	gone := before + len(names)
	for _, name := range names {
		train := loopPod("ml", name, 1, map[string]string{"tier": "gpu"})
		started := time.Now()
		e.create(t, train)
		if got := e.bound(t, train); got != node {
			t.Errorf("%s runs on %s, want the placeholder's node %s", name, got, node)
		}
		if e.taken = time.Now(); e.taken.Sub(started) > loopTakeover {
			t.Errorf("the takeover took %s, want at most %s", e.taken.Sub(started), loopTakeover)
		}
	}
	cluster.Eventually(t, loopWait, func() error {
		if _, _, preempted, _ := e.pods.counts(); preempted != gone {
			return fmt.Errorf("%d placeholders went by %s, want %d", preempted, corev1.PodReasonPreemptionByScheduler, gone)
		}
		return nil
	})
	loopNever(t, loopWindow, func() error {
		if err := e.owns(ctx, nodes); err != nil {
			return err
		}
		if now, _, preempted, other := e.pods.counts(); now != made || preempted != gone || other != deleted {
			return fmt.Errorf("%d placeholders made, %d preempted, %d deleted; want %d %d %d", now, preempted, other, made, gone, deleted)
		}
		still := &corev1.Pod{}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(cheap), still); err != nil {
			return err
		}
		if still.UID != cheap.UID || still.DeletionTimestamp != nil {
			return fmt.Errorf("the cheap pod on %s was touched", cheap.Spec.NodeName)
		}
		return nil
	})
}

func loopTakeoverUp(t *testing.T, e *loopEnv) {
	e.patch(t, loopName, fmt.Sprintf(`{"spec":{"chunks":[{"name":"single","requests":{"nvidia.com/gpu":"1"},"waitCostPerHour":"0","idleCostPerHour":"3","min":0,"max":%d}]}}`, loopMost))
	cluster.Eventually(t, loopWait, func() error {
		_, chunk, err := e.status(t.Context(), loopName)
		if err == nil && (chunk.Wanted != 0 || chunk.Reserved != loopHeld) {
			err = fmt.Errorf("%+v, want none wanted, and all held for the hold time", chunk)
		}
		return err
	})
	reserver := e.processes["reserver"]
	before := e.scrape(t, reserver)
	e.takeover(t, "train-1", "train-2")
	after := e.scrape(t, reserver)
	for _, name := range []string{"forewarm_capacity_takeovers_total", "forewarm_capacity_waits_avoided_total"} {
		if got := after[name] - before[name]; got != 2 {
			t.Errorf("%s rose by %v, want 2", name, got)
		}
	}
}

func loopTakeoverDown(t *testing.T, e *loopEnv) {
	if err := e.processes["reserver"].Stop(10 * time.Second); err != nil {
		t.Fatalf("after SIGTERM: %v\n%s", err, e.processes["reserver"].Log())
	}
	e.takeover(t, "train-3", "train-4")
	e.start(t, "reserver", "reserver-3")
}

// loopMinute: an autoscaler that is slower than Karpenter would have bought by now, and a reserver
// that took a taken placeholder for a missing one.
func loopMinute(t *testing.T, e *loopEnv) {
	loopNever(t, max(time.Until(e.taken.Add(time.Minute)), 0), func() error {
		_, open, err := e.stands(t.Context())
		if err == nil && len(open) > 0 {
			err = fmt.Errorf("%d placeholders ask for nodes or hold some, want none", len(open))
		}
		return errors.Join(err, e.owns(t.Context(), 1))
	})
}

func loopExtenderDead(t *testing.T, e *loopEnv) {
	e.scrape(t, e.processes["extender"])
	e.processes["extender"].Kill()
	pod := loopPod("web", "alone", 1, map[string]string{"pool": "free"})
	e.create(t, pod)
	e.bound(t, pod)
	e.start(t, "extender", "extender-2")
}

// loopRestart kills the reserver as a lost machine would, and starts another at once: the
// lease names another holder, and runs out first.
func loopRestart(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	before := e.history(t)
	gated, open, err := e.stands(ctx)
	if err != nil {
		t.Fatal(err)
	}
	e.processes["reserver"].Kill()
	killed := time.Now()
	e.start(t, "reserver", "reserver-2")
	unchanged := func() error {
		if made, _, preempted, deleted := e.pods.counts(); made != loopMost || preempted != 0 || deleted != 0 {
			return fmt.Errorf("%d placeholders made, %d preempted, %d deleted; want %d 0 0", made, preempted, deleted, loopMost)
		}
		stillGated, stillOpen, err := e.stands(ctx)
		if err == nil && (!sameUIDs(gated, stillGated) || !sameUIDs(open, stillOpen)) {
			err = fmt.Errorf("%d gated and %d ungated placeholders, want the same %d and %d as before", len(stillGated), len(stillOpen), len(gated), len(open))
		}
		return err
	}
	cluster.Eventually(t, loopWait, func() error {
		if err := unchanged(); err != nil {
			t.Fatal(err)
		}
		if last := loopLast(e.history(t)); last.Before(killed) {
			return fmt.Errorf("the successor has recorded nothing yet; the last sample is of %s", last)
		}
		return nil
	})
	t.Logf("the successor leads and records %s after the kill", time.Since(killed).Round(time.Second))
	loopNever(t, loopWindow, func() error {
		if err := e.owns(ctx, 1); err != nil {
			return err
		}
		return unchanged()
	})
	kept(t, before, e.history(t))
}

func sameUIDs(a, b map[string]corev1.Pod) bool {
	uids := func(pods map[string]corev1.Pod) map[types.UID]bool {
		set := map[types.UID]bool{}
		for _, pod := range pods {
			set[pod.UID] = true
		}
		return set
	}
	x, y := uids(a), uids(b)
	for uid := range x {
		if !y[uid] {
			return false
		}
	}
	return len(x) == len(y)
}

// history reads what was recorded of the pool's chunk within the last quarter of an hour.
func (e *loopEnv) history(t *testing.T) forecast.Series {
	t.Helper()
	key := history.Key{Pool: loopName, Chunk: "single"}
	series, err := history.NewStore(e.Client).Load(t.Context(), key, time.Now().Add(-15*time.Minute), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(series.Values) == 0 {
		t.Fatal("no demand was recorded")
	}
	return series
}

// loopLast is the time of the last sample.
func loopLast(s forecast.Series) time.Time {
	return s.Start.Add(time.Duration(len(s.Values)-1) * s.Step)
}

// kept fails unless every sample of before is in after.
func kept(t *testing.T, before, after forecast.Series) {
	t.Helper()
	shift := int(after.Start.Sub(before.Start) / before.Step)
	samples := 0
	for i, value := range before.Values {
		if value != value || i < shift { // no sample, or older than what was read
			continue
		}
		samples++
		if got := after.Values[i-shift]; got != value {
			t.Errorf("demand at %s was %v and is %v", before.Start.Add(time.Duration(i)*before.Step), value, got)
		}
	}
	if samples < 5 {
		t.Errorf("only %d samples before the kill", samples)
	}
}
