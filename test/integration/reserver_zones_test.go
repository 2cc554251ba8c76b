package integration

import (
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestZones: a pool has a node in each of its zones, but for the third, where Karpenter can have none.
func TestZones(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t, "a", "b")
	ctx := t.Context()
	pool := loopPool(loopName, "warm", 0, 9)
	pool.Spec.Mode, pool.Spec.Chunks[0].Requests = v1alpha1.ModeEnforce, extenderGPUs(8) // a node each
	pool.Spec.Sizing.Hold.Duration, pool.Spec.Sizing.MaxNodes = time.Second, new(int32(1))
	pool.Spec.Nodes.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: metav1.LabelSelectorOpIn, Values: []string{"a", "b", "c"}}}
	pool.Spec.Nodes.Zones = &v1alpha1.ZoneSpread{MinPerZone: 1}
	e.create(t, pool)
	e.start(t, "reserver", "reserver")

	one := func() error { return errors.Join(e.reserved(t, loopName, 1, 2), e.zone(t, "a", 1, 0), e.owns(ctx, 1)) }
	cluster.Eventually(t, loopWait, one)
	loopNever(t, loopWindow, one) // maxNodes holds

	e.patch(t, loopName, `{"spec":{"sizing":{"maxNodes":null}}}`)
	cluster.Eventually(t, loopWait, func() error { return errors.Join(e.zone(t, "b", 1, 0), e.zone(t, "c", 0, 0)) })
	started := time.Now()
	cluster.Eventually(t, 2*loopWait, func() error { // who waits for the third zone does not count for long
		return errors.Join(e.reserved(t, loopName, 3, 0), e.zone(t, "c", 0, 1), e.owns(ctx, 3))
	})
	t.Logf("three nodes stand in two zones %s after the second", time.Since(started).Round(time.Second))

	e.patch(t, loopName, `{"spec":{"chunks":[{"name":"single","requests":{"nvidia.com/gpu":"8"},"waitCostPerHour":"0","idleCostPerHour":"3","min":6,"max":9}]}}`)
	// What is beyond the least of each zone is spread as far as Karpenter heeds what it need not.
	cluster.Eventually(t, loopWait, func() error {
		return errors.Join(e.reserved(t, loopName, 6, 0), e.zoneHasSome(t, "a"), e.zoneHasSome(t, "b"), e.zone(t, "c", 0, 1))
	})
	e.patch(t, loopName, `{"spec":{"chunks":[{"name":"single","requests":{"nvidia.com/gpu":"8"},"waitCostPerHour":"0","idleCostPerHour":"3","min":0,"max":9}]}}`)
	cluster.Eventually(t, loopWait, func() error {
		least := errors.Join(e.zone(t, "a", 1, 0), e.zone(t, "b", 2, 0))
		if least != nil {
			least = errors.Join(e.zone(t, "a", 2, 0), e.zone(t, "b", 1, 0))
		}
		return errors.Join(e.reserved(t, loopName, 3, 0), least) // what is given back leaves each zone its own
	})
}

// zone fails unless the pool holds so many in a zone, and so many are overdue there.
func (e *loopEnv) zone(t *testing.T, name string, reserved, overdue int32) error {
	_, chunk, err := e.status(t.Context(), loopName)
	if err != nil {
		return err
	}
	for _, z := range chunk.Zones {
		if z.Name == name && z.Reserved == reserved && z.Overdue == overdue {
			return nil
		}
	}
	return fmt.Errorf("zones %+v, want %d reserved and %d overdue in %s", chunk.Zones, reserved, overdue, name)
}

// zoneHasSome fails unless the pool holds its least in a zone, which is one.
func (e *loopEnv) zoneHasSome(t *testing.T, name string) error {
	_, chunk, err := e.status(t.Context(), loopName)
	if err != nil {
		return err
	}
	for _, z := range chunk.Zones {
		if z.Name == name && z.Reserved >= 1 {
			return nil
		}
	}
	return fmt.Errorf("zones %+v, want some reserved in %s", chunk.Zones, name)
}
