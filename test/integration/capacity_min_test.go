package integration

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// capacityMin: pods take over the two placeholders that a pool keeps by its min. It keeps two again, beside the
// pods: that buys two nodes, and for a minute not one more than its demand and its min, or its forecast, ask for. Each
// placeholder that is renewed by somebody who counts wrong would buy one.
func capacityMin(t *testing.T, e *loopEnv) {
	const name, before, least = "ordinary", "steps", 2
	ctx := t.Context()
	if err := errors.Join(
		e.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(before), client.GracePeriodSeconds(0)),
		client.IgnoreNotFound(e.Client.Delete(ctx, &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: before}})),
		e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}}),
	); err != nil {
		t.Fatal(err)
	}
	pool := loopPool(name, "plain", least, 5)
	pool.Spec.Mode, pool.Spec.Demand.NamespaceSelector.MatchLabels = v1alpha1.ModeEnforce, map[string]string{"team": name}
	pool.Spec.Chunks[0].Requests, pool.Spec.Chunks[0].WaitCostPerHour = extenderGPUs(8), "60"
	pool.Spec.Sizing = v1alpha1.SizingSpec{LeadTime: "8s", Hold: metav1.Duration{Duration: 10 * time.Second}}
	e.create(t, pool)
	reserved := func() error {
		_, chunk, err := e.status(ctx, pool.Name)
		if err == nil && (chunk.Reserved < least || chunk.Pending > 0) {
			err = fmt.Errorf("%+v, want %d reserved", chunk, least)
		}
		return err
	}
	nodes := func() int {
		var list corev1.NodeList
		if err := e.Client.List(ctx, &list, client.MatchingLabels{"karpenter.sh/nodepool": "plain"}); err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	cluster.Eventually(t, loopWait, reserved)

	stood := nodes()
	_, _, preempted, deleted := e.pods.counts()
	var pods []*corev1.Pod
	for i := range stood { // as many as there are nodes, for some may be free
		pods = append(pods, loopPod(name, fmt.Sprint("takes-", i), 8, map[string]string{"karpenter.sh/nodepool": "plain"}))
		e.create(t, pods[i])
	}
	started, forecast, most := time.Now(), 0.0, 0
	for _, pod := range pods {
		e.bound(t, pod)
	}
	within := func() error {
		_, chunk, err := e.status(ctx, pool.Name)
		if err != nil {
			return err
		}
		level, err := strconv.ParseFloat(chunk.Forecast.Level, 64)
		forecast = max(forecast, level)
		most = max(most, nodes())
		if asked := max(int(math.Ceil(forecast)), len(pods)+least, stood); most > asked {
			t.Fatalf("%d nodes of which %d stood before, with a demand of %d, a min of %d and a forecast of %v at most", most, stood, len(pods), least, forecast)
		}
		return err
	}
	cluster.Eventually(t, loopWait, func() error { return errors.Join(within(), reserved()) })
	loopNever(t, time.Minute-min(time.Since(started), time.Minute), within)
	cluster.Eventually(t, loopWait, reserved)
	if _, _, p, d := e.pods.counts(); p+d < preempted+deleted+2 {
		t.Errorf("%d placeholders gave way, want two", p+d-preempted-deleted)
	}
	t.Logf("%d nodes, %d before, a minute after two placeholders of %d were taken over", most, stood, least)
}
