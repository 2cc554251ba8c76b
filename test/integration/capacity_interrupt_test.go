package integration

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// capacityInterrupt: a node is told to go. The pool plans every five minutes, and must not wait for it.
func capacityInterrupt(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.patch(t, loopName, `{"spec":{"mode":"Enforce","forecast":{"interval":"5m"}}}`)
	capacityReserved(t, e, 8)
	gated, open, err := e.stands(ctx)
	if err != nil {
		t.Fatal(err)
	}
	node := e.warmNode(t)
	taint := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"taints":[{"key":"aws-node-termination-handler/spot-itn","effect":"NoSchedule"}]}}`))
	started := time.Now()
	if err := e.Client.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, taint); err != nil {
		t.Fatal(err)
	}
	var fresh string
	cluster.Eventually(t, loopWait, func() error {
		_, now, err := e.stands(ctx)
		if err != nil {
			return err
		}
		for name, pod := range now {
			if _, stood := open[name]; !stood {
				fresh = name
			}
			if pod.Spec.NodeName == node {
				return fmt.Errorf("placeholder %s still stands on %s", name, node)
			}
		}
		if fresh == "" || len(now) != 8 {
			return fmt.Errorf("%d placeholders ungated, %d of them stood before; want a new one", len(now), len(open))
		}
		return nil
	})
	took := time.Since(started)
	t.Logf("capacity asked for elsewhere %s after the taint, by %s of %d gated ones", took.Round(10*time.Millisecond), fresh, len(gated))
	if took > 5*time.Second {
		t.Errorf("it took %s, want less than 5 s", took)
	}
	cluster.Eventually(t, loopWait, func() error { // status is as old as the last plan
		_, now, err := e.stands(ctx)
		if pod := now[fresh]; err == nil && (pod.Status.Phase != corev1.PodRunning || pod.Spec.NodeName == node) {
			err = fmt.Errorf("placeholder %s is %s on %q", fresh, pod.Status.Phase, pod.Spec.NodeName)
		}
		return err
	})
	if err := e.owns(ctx, 9); err != nil { // the one that goes is nobody's to delete but its cloud's
		t.Error(err)
	}
}
