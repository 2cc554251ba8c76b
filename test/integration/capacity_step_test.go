package integration

import (
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast/history"
	"forewarm.dev/test/cluster"
)

// capacityStep: the demand of another pool has stepped from none to three nodes every 40 s. Before it
// does so again the nodes are there; the pods take them, and there are never more nodes than the
// highest demand that was forecast.
func capacityStep(t *testing.T, e *loopEnv) {
	const name, period, high, top = "steps", 40 * time.Second, 10 * time.Second, 3
	ctx := t.Context()
	if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}}); err != nil {
		t.Fatal(err)
	}
	step := time.Now().Truncate(time.Second).Add(20 * time.Second)
	var samples []history.Sample
	for at := step.Add(-15 * period); at.Before(time.Now()); at = at.Add(time.Second) {
		sample := history.Sample{At: at}
		if at.Sub(step.Add(-15*period))%period < high {
			sample.Demand = top
		}
		samples = append(samples, sample)
	}
	promWrite(t, e.prometheus, map[string][]history.Sample{name: samples})
	pool := loopPool(name, "plain", 0, 5)
	pool.Spec.Mode, pool.Spec.Demand.NamespaceSelector.MatchLabels = v1alpha1.ModeEnforce, map[string]string{"team": name}
	pool.Spec.Chunks[0].Requests, pool.Spec.Chunks[0].WaitCostPerHour = extenderGPUs(8), "60"
	pool.Spec.Forecast.History, pool.Spec.Forecast.Seasons = metav1.Duration{Duration: 15 * period}, []metav1.Duration{{Duration: period}}
	pool.Spec.Sizing = v1alpha1.SizingSpec{LeadTime: "8s", Hold: metav1.Duration{Duration: high}}
	_, _, preempted, deleted := e.pods.counts()
	e.create(t, pool)

	forecast := 0.0 // the highest so far
	within := func() (nodes int) {
		t.Helper()
		var list corev1.NodeList
		if err := e.Client.List(ctx, &list, client.MatchingLabels{"karpenter.sh/nodepool": "plain"}); err != nil {
			t.Fatal(err)
		}
		if _, chunk, err := e.status(ctx, name); err == nil && chunk.Forecast != nil {
			level, err := strconv.ParseFloat(chunk.Forecast.Level, 64)
			if err != nil {
				t.Fatal(err)
			}
			forecast = max(forecast, level)
		}
		if n := len(list.Items); float64(n) > math.Ceil(forecast) {
			t.Fatalf("%d nodes, where a demand of %v was forecast at most", n, forecast)
		}
		return len(list.Items)
	}
	var ready int
	cluster.Eventually(t, loopWait, func() error {
		if ready = within(); time.Now().Before(step) {
			return fmt.Errorf("the step is at %s", step)
		}
		return nil
	})
	var pods []*corev1.Pod
	for i := range top {
		pods = append(pods, loopPod(name, fmt.Sprint("step-", i), 8, map[string]string{"karpenter.sh/nodepool": "plain"}))
		e.create(t, pods[i])
	}
	for _, pod := range pods {
		e.bound(t, pod)
	}
	if ready != top {
		t.Errorf("%d nodes stood when demand stepped up, want %d", ready, top)
	}
	cluster.Eventually(t, loopWait, func() error {
		// The pods come at once: the scheduler preempts for some, the extender makes room for the others.
		if _, _, now, other := e.pods.counts(); now+other != preempted+deleted+top {
			return fmt.Errorf("%d placeholders were preempted and %d deleted, want %d in all", now-preempted, other-deleted, top)
		}
		return nil
	})
	loopNever(t, loopWindow, func() error {
		if n := within(); n != top {
			return fmt.Errorf("%d nodes after the step, want %d", n, top)
		}
		return nil
	})
	t.Logf("%d nodes, a demand of %.1f was forecast at most", top, forecast)
}
