package placeholder

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

const (
	// assumedLeadTime is planned with until enough nodes were measured.
	assumedLeadTime = 5 * time.Minute
	// longestLeadTime bounds the window where nodes do not come at all.
	longestLeadTime = 2 * time.Hour
	// leastPatience is how long a node is waited for at least: autoscalers look every ten seconds, and
	// Cluster Autoscaler may wait half a minute for GPUs.
	leastPatience = 30 * time.Second
)

// LeadTime is the lead time to plan with. What its placeholders show of new nodes is added to
// what the pool's status remembers, so that it survives the leader.
func LeadTime(pool *v1alpha1.WarmPool, placeholders []*corev1.Pod, nodes []*corev1.Node, now time.Time) (capacity.LeadEstimate, capacity.LeadTimes) {
	known := remembered(pool)
	samples, waiting := waits(NotOverdue(pool, placeholders, now), nodes, now)
	known.Waiting = waiting
	known = known.Add(samples...)
	estimate := known.Estimate(assumedLeadTime)
	if fixed, ok := pool.Spec.Sizing.LeadTime.Fixed(); ok {
		estimate.Used, estimate.Source = fixed, capacity.LeadSet
	}
	estimate.Used = min(max(estimate.Used, time.Second), longestLeadTime)
	return estimate, known
}

// remembered are the nodes that the status of a pool tells of.
func remembered(pool *v1alpha1.WarmPool) capacity.LeadTimes {
	var known capacity.LeadTimes
	if pool.Status.LeadTime != nil {
		for _, s := range pool.Status.LeadTime.Recent {
			known.Recent = append(known.Recent, capacity.LeadSample{Node: s.Node, At: s.At.Time, Took: s.Took.Duration})
		}
	}
	return known
}

// waits are the nodes that placeholders got which were ungated before the node was made, and how
// long each batch that was ungated together waits for one. A placeholder on an older node has
// found room, and says nothing.
func waits(placeholders []*corev1.Pod, nodes []*corev1.Node, now time.Time) (came []capacity.LeadSample, waiting []time.Duration) {
	made := map[string]time.Time{}
	for _, node := range nodes {
		made[node.Name] = node.CreationTimestamp.Time
	}
	batches := map[time.Time]bool{}
	for _, pod := range placeholders {
		ungated, ok := Ungated(pod)
		if !ok {
			continue
		}
		asked := ungated.Truncate(time.Second) // timestamps of the API server have no fractions
		nodeMade, bound := made[pod.Spec.NodeName]
		older := bound && nodeMade.Before(asked)
		switch stage := StageOf(pod); {
		case older:
		case stage == capacity.Pending:
			batches[asked] = true
		case stage == capacity.Reserved && bound:
			if at := runningSince(pod); !at.IsZero() {
				came = append(came, capacity.LeadSample{Node: pod.Spec.NodeName, At: at, Took: max(at.Sub(ungated), 0)})
			}
		}
	}
	for _, asked := range slices.SortedFunc(maps.Keys(batches), time.Time.Compare) {
		waiting = append(waiting, max(now.Sub(asked), 0))
	}
	return came, waiting
}

// runningSince is when a pod became ready, else when its first container started.
func runningSince(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running != nil {
			return c.State.Running.StartedAt.Time
		}
	}
	return time.Time{}
}

// LeadTimeStatus tells of a lead time, and of the samples behind it, so that the next leader knows them.
func LeadTimeStatus(e capacity.LeadEstimate, known capacity.LeadTimes) *v1alpha1.LeadTimeStatus {
	duration := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d.Round(time.Millisecond)} }
	status := &v1alpha1.LeadTimeStatus{Used: duration(e.Used), Source: string(e.Source), Waiting: int32(e.Waiting)}
	if e.Samples+e.Waiting > 0 {
		p50, p95 := duration(e.P50), duration(e.P95)
		status.P50, status.P95 = &p50, &p95
	}
	for _, s := range known.Recent {
		status.Recent = append(status.Recent, v1alpha1.LeadTimeSample{Node: s.Node, At: metav1.NewTime(s.At), Took: duration(s.Took)})
	}
	return status
}

// Patience is how long a node of a pool takes at most, as far as is known: what the spec says, else
// the 95th percentile of nodes that came, and at least leastPatience. What still waits must not make it
// longer.
func Patience(pool *v1alpha1.WarmPool, known capacity.LeadTimes) time.Duration {
	if fixed, ok := pool.Spec.Sizing.LeadTime.Fixed(); ok {
		return max(fixed, leastPatience)
	}
	return max(capacity.LeadTimes{Recent: known.Recent}.Estimate(assumedLeadTime).Used, leastPatience)
}
