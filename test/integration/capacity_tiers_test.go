package integration

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// tiersChunks hold four GPUs: two ones in tier 3, and a pair in tier 0.
const tiersChunks = `{"spec":{"chunks":[
	{"name":"single","requests":{"nvidia.com/gpu":"1"},"tier":3,"waitCostPerHour":"0","idleCostPerHour":"3","min":%d,"max":2},
	{"name":"pair","requests":{"nvidia.com/gpu":"2"},"waitCostPerHour":"0","idleCostPerHour":"6","min":%d,"max":1}]}}`

// TestTiers: a pod takes placeholders of the lowest tier, though one of a later would do and hold less; one
// whose priority is not above a tier does not get it, with the extender and without.
func TestTiers(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	ctx := t.Context()
	e.create(t, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "batch"}, Value: -8})
	pool := loopPool(loopName, "warm", 0, 2)
	pool.Spec.Mode = v1alpha1.ModeEnforce
	e.create(t, pool)
	e.patch(t, loopName, fmt.Sprintf(tiersChunks, 2, 1))
	e.start(t, "extender", "extender")
	e.start(t, "reserver", "reserver")
	stand := func(single, pair int) func() error {
		return func() error {
			_, open, err := e.stands(ctx)
			got := map[int32]int{}
			for _, pod := range open {
				if pod.Spec.NodeName != "" {
					got[*pod.Spec.Priority]++
				}
			}
			if err == nil && (got[-7] != single || got[-10] != pair || len(open) != single+pair) {
				err = fmt.Errorf("%d placeholders stand, by priority %v; want %d of -7 and %d of -10", len(open), got, single, pair)
			}
			return err
		}
	}
	cluster.Eventually(t, loopWait, stand(2, 1))
	e.patch(t, loopName, fmt.Sprintf(tiersChunks, 0, 0)) // what is taken is not asked for again
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: e.warmNode(t)}}
	if err := e.Client.Patch(ctx, node, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"test":"here"}}}`))); err != nil {
		t.Fatal(err)
	}
	run := func(name, class string, gpus int64) *corev1.Pod {
		pod := loopPod("ml", name, gpus, map[string]string{"test": "here"})
		pod.Spec.PriorityClassName = class
		e.create(t, pod)
		return pod
	}
	e.bound(t, run("filler", "", 4))

	e.bound(t, run("first", "", 1))
	cluster.Eventually(t, loopWait, stand(2, 0))
	cheap := run("cheap-1", "batch", 1)
	e.bound(t, cheap) // in what the pair has left
	waits := run("cheap-2", "batch", 1)
	refused := func() error {
		err := e.Client.Get(ctx, client.ObjectKeyFromObject(waits), waits)
		if err == nil && (waits.Spec.NodeName != "" || extenderCondition(waits) == "") {
			err = fmt.Errorf("%s is on node %q, says %q; want it refused", waits.Name, waits.Spec.NodeName, extenderCondition(waits))
		}
		return errors.Join(err, stand(2, 0)())
	}
	cluster.Eventually(t, loopWait, refused)
	loopNever(t, loopWindow, refused)
	e.processes["extender"].Kill()
	waits = run("cheap-3", "batch", 1)
	cluster.Eventually(t, loopWait, refused)
	loopNever(t, loopWindow, refused)
	e.start(t, "extender", "extender-2")

	e.bound(t, run("last", "", 1))
	cluster.Eventually(t, loopWait, stand(1, 0))
	if err := e.Client.Get(ctx, client.ObjectKeyFromObject(cheap), cheap); err != nil || cheap.DeletionTimestamp != nil {
		t.Errorf("%s, of a lower priority than the placeholder: %v, deleted %v; want it left alone", cheap.Name, err, cheap.DeletionTimestamp)
	}
}
