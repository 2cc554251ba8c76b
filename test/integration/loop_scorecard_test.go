package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// loopScorecard: the placeholders that nobody has made would stand, idle, and be taken by a pod that
// comes. It runs on a node of another pool, so that Karpenter has nothing to buy.
func loopScorecard(t *testing.T, e *loopEnv) {
	t.Helper()
	ctx := t.Context()
	cluster.Eventually(t, loopWait, func() error {
		pool, _, err := e.status(ctx, loopName)
		if err != nil {
			return err
		}
		card := pool.Status.Scorecard
		if card == nil || len(card.Chunks) != 1 || card.Chunks[0].Warm != fmt.Sprint(loopHeld) || card.Day.Arrived != "0" {
			return fmt.Errorf("scorecard %+v, want %d placeholders that would stand", card, loopHeld)
		}
		idle, _ := strconv.ParseFloat(card.Day.IdleHours, 64)
		cost, _ := strconv.ParseFloat(card.Day.IdleCost, 64)
		if idle <= 0 || cost < 2.9*idle || cost > 3.1*idle {
			return fmt.Errorf("idle for %s GPU-hours at %s, want some, at 3 each", card.Day.IdleHours, card.Day.IdleCost)
		}
		return nil
	})
	pod := loopPod("ml", "arrives", 1, map[string]string{"pool": "free"})
	e.create(t, pod)
	cluster.Eventually(t, loopWait, func() error {
		pool, _, err := e.status(ctx, loopName)
		if err != nil {
			return err
		}
		if day := pool.Status.Scorecard.Day; day.Arrived != "1" || day.Free != "0" || day.Warm != "1" || day.WaitsAvoided != "1" {
			return fmt.Errorf("%+v, want one GPU that arrived, and would have found a placeholder", day)
		}
		return nil
	})
	out, complaints, code := e.run(t, "forewarmctl", "status", loopName, "--kubeconfig", e.Kubeconfig)
	if want := "of 1 nvidia.com/gpu that arrived, had capacity ready for 100 % (0 % without it); avoided 1 waits"; code != 0 || strings.Count(out, want) != 2 {
		t.Errorf("exit code %d, %s; want %q for day and week in:\n%s", code, complaints, want, out)
	}
	if err := e.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}
