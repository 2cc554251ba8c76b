package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// capacityWaiting: no node will ever come in the zone that the pod selects, which the reserver cannot know.
func capacityWaiting(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	pod := loopPod("ml", "waits", 8, map[string]string{corev1.LabelTopologyZone: "nowhere"})
	e.create(t, pod)
	started := time.Now()
	versions, last := 0, ""
	says := func() (pool string, start time.Time, err error) {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return "", start, err
		}
		pool, value := pod.Annotations[v1alpha1.AnnotationWaitingFor], pod.Annotations[v1alpha1.AnnotationExpectedStart]
		if value != last {
			versions, last = versions+1, value
		}
		start, err = time.Parse(time.RFC3339, value)
		return pool, start, err
	}
	cluster.Eventually(t, loopWait, func() error {
		pool, start, err := says()
		if err == nil && (pool != loopName || !start.After(pod.CreationTimestamp.Time) || start.After(time.Now().Add(loopWait))) {
			err = fmt.Errorf("it waits for %q until %s, want %s and a time soon after now", pool, start, loopName)
		}
		return err
	})
	t.Logf("told after %s: %s", time.Since(started).Round(10*time.Millisecond), last)
	cluster.Eventually(t, loopWait, func() error { // what never comes is expected later, again and again
		if _, _, err := says(); err != nil {
			return err
		}
		if versions < 2 {
			return fmt.Errorf("it still says %s", last)
		}
		return nil
	})
	if seconds := time.Since(started).Seconds(); float64(versions) > 1+seconds/5 {
		t.Errorf("told %d times in %.0f s, want less than each 5 s", versions, seconds)
	}
	capacityTold(t, e, pod, v1alpha1.ReasonWaitingForPool)
	if err := e.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	var other corev1.Pod
	if err := e.Client.Get(ctx, client.ObjectKey{Namespace: "web", Name: "cheap"}, &other); err != nil || other.Annotations[v1alpha1.AnnotationWaitingFor] != "" {
		t.Errorf("a pod of no pool: error %v, annotations %v", err, other.Annotations)
	}
}

// capacityFitsNone: no node of the pool has the label that the pod selects, so that it is told no time and is no
// demand.
func capacityFitsNone(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	none := func() error {
		_, chunk, err := e.status(ctx, loopName)
		if err == nil && chunk.Demand != "0" {
			err = fmt.Errorf("demand is %s, want 0", chunk.Demand)
		}
		return err
	}
	cluster.Eventually(t, loopWait, none)
	pod := loopPod("ml", "in-vain", 8, map[string]string{"test": "nowhere"})
	e.create(t, pod)
	cluster.Eventually(t, loopWait, func() error {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if pool, start := pod.Annotations[v1alpha1.AnnotationWaitingFor], pod.Annotations[v1alpha1.AnnotationExpectedStart]; pool != loopName || start != "" {
			return fmt.Errorf("it waits for %q until %q, want %s and no time", pool, start, loopName)
		}
		return nil
	})
	capacityTold(t, e, pod, v1alpha1.ReasonFitsNoNode)
	loopNever(t, loopWindow, none)
	if err := e.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

// capacityTold: one event tells a pod what it waits for, or that it does so in vain.
func capacityTold(t *testing.T, e *loopEnv, pod *corev1.Pod, reason string) {
	t.Helper()
	cluster.Eventually(t, loopWait, func() error {
		var list eventsv1.EventList
		if err := e.Client.List(t.Context(), &list, client.InNamespace(pod.Namespace)); err != nil {
			return err
		}
		n := 0
		for _, event := range list.Items {
			if event.Reason == reason && event.Regarding.UID == pod.UID && strings.Contains(event.Note, "WarmPool "+loopName) {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("%d events %s, want one", n, reason)
		}
		return nil
	})
}
