package integration

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestNodesAreShared: two pools that ask in one cycle share what max-nodes of the cluster leaves,
// by their priority. No webhook runs that would refuse the nodes.
func TestNodesAreShared(t *testing.T) {
	e := newLoopEnv(t)
	ctx := t.Context()
	const standing, left = 2, 3 // the nodes of the environment, and what may come
	body := fmt.Sprintf(`{"metadata":{"annotations":{"forewarm.dev/max-nodes":"%d"}}}`, standing+left)
	if err := e.Client.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		t.Fatal(err)
	}
	for name, priority := range map[string]int32{"plain": 10, "warm": 0} {
		pool := loopPool(name, name, 2, 2)
		pool.Spec.Mode, pool.Spec.Priority = v1alpha1.ModeEnforce, priority
		pool.Spec.Chunks[0].Requests = extenderGPUs(8) // a node each
		e.create(t, pool)
	}
	e.start(t, "reserver", "reserver")
	shared := func() error {
		return errors.Join(e.owns(ctx, left), e.reserved(t, "plain", 2, 0), e.reserved(t, "warm", 1, 1))
	}
	cluster.Eventually(t, loopWait, shared)
	loopNever(t, loopWindow, shared)
}

// reserved fails unless a pool holds and lacks so many placeholders.
func (e *loopEnv) reserved(t *testing.T, name string, holds, lacks int32) error {
	_, chunk, err := e.status(t.Context(), name)
	if err == nil && (chunk.Reserved != holds || chunk.Limited != lacks) {
		err = fmt.Errorf("WarmPool %s: %+v, want %d reserved and %d limited", name, chunk, holds, lacks)
	}
	return err
}
