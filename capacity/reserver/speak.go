package reserver

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/waiting"
	"forewarm.dev/capacity/waiting/announcer"
	"forewarm.dev/internal/quantity"
)

// speak lets the pods of a pool that find no room say what they wait for, and until when.
func (r *Reserver) speak(ctx context.Context, w world, pool *v1alpha1.WarmPool, seen sight) {
	resource := pool.Spec.Demand.Resource
	news := announcer.News{Pool: pool, Run: r.runs.Of}
	var pods []waiting.Pod
	var never []*corev1.Pod
	for _, pod := range w.Pods {
		if !unschedulable(pod) || r.tracker.poolOf(pod.UID) != pool.Name {
			continue
		}
		if r.tracker.fitsNone(pod.UID) {
			never = append(never, pod)
			continue
		}
		news.Pods = append(news.Pods, pod)
		pods = append(pods, waiting.Pod{
			UID: string(pod.UID), Created: pod.CreationTimestamp.Time, Amount: quantity.OfPod(pod)[resource], Priority: priorityOf(pod),
		})
	}
	flights := flightsOf(placeholder.NotOverdue(pool, w.placeholders[pool.Name], seen.at), resource)
	news.Starts = waiting.Starts(pods, flights, leadOf(seen), seen.at)
	news.Pods, news.Starts = append(news.Pods, never...), append(news.Starts, make([]time.Time, len(never))...)
	news.Why = why(pool, len(flights))
	if err := r.options.Announcer.Tell(ctx, news, seen.at); err != nil {
		r.metrics.errors.WithLabelValues("Tell").Inc()
		r.log.Error(err, "Pods not told what they wait for", "pool", pool.Name)
	}
}

// flightsOf are the placeholders that wait for a node.
func flightsOf(placeholders []*corev1.Pod, resource corev1.ResourceName) []waiting.Flight {
	var flights []waiting.Flight
	for _, pod := range placeholders {
		asked, ok := placeholder.Ungated(pod)
		if ok && placeholder.StageOf(pod) == capacity.Pending {
			flights = append(flights, waiting.Flight{Asked: asked, Amount: quantity.OfPod(pod)[resource]})
		}
	}
	return flights
}

func leadOf(seen sight) waiting.Lead {
	lead := waiting.Lead{Assumed: seen.lead.Used}
	for _, s := range seen.leadTimes.Recent {
		lead.Samples = append(lead.Samples, s.Took)
	}
	return lead
}

// why says what the pool does about it.
func why(pool *v1alpha1.WarmPool, flights int) string {
	text := fmt.Sprintf("no node has room, %d placeholders of the pool wait for nodes", flights)
	if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionLimited); c != nil && c.Status == "True" {
		text += "; the pool is limited: " + c.Message
	}
	return text
}
