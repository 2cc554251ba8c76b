package supply

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/capacity/karpenter"
)

// longestWhy is what status takes of it.
const longestWhy = 512

// refusals are the reasons of events by which autoscalers say that a pod gets no node. A new one is a
// row here.
var refusals = map[string]string{
	"NotTriggerScaleUp": "cluster-autoscaler",
	"FailedScheduling":  "karpenter",
}

// Why is what autoscalers say of placeholders that wait: the newest event that refuses one of them,
// and why a NodeClaim of the NodePools was not launched.
func Why(ctx context.Context, live client.Reader, namespace string, waiting []*corev1.Pod, nodePools []string) (string, error) {
	claims, err := karpenter.Unlaunched(ctx, live, nodePools)
	if err != nil {
		return "", err
	}
	var list corev1.EventList
	if err := live.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return "", fmt.Errorf("list events of placeholder pods: %w", err)
	}
	var newest corev1.Event
	for _, event := range list.Items {
		of := func(pod *corev1.Pod) bool { return pod.UID == event.InvolvedObject.UID }
		if says, ok := refusals[event.Reason]; ok && says == sourceOf(event) && slices.ContainsFunc(waiting, of) && !when(event).Before(when(newest)) {
			newest = event
		}
	}
	if newest.Message != "" {
		claims = append(claims, sourceOf(newest)+": "+newest.Message)
	}
	why := strings.Join(claims, "; ")
	return why[:min(len(why), longestWhy)], nil
}

func sourceOf(event corev1.Event) string {
	if event.ReportingController != "" {
		return event.ReportingController
	}
	return event.Source.Component
}

// when is when an event was seen last: old and new recorders write different fields.
func when(event corev1.Event) time.Time {
	at := event.LastTimestamp.Time
	if at.IsZero() {
		at = event.EventTime.Time
	}
	if event.Series != nil && event.Series.LastObservedTime.After(at) {
		at = event.Series.LastObservedTime.Time
	}
	return at
}
