package handler

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"forewarm.dev/api/v1alpha1"
)

// weight lets packing decide against the scheduler's own spreading: an extender's score
// counts ten times its weight, 0 to 500 here, where LeastAllocated and BalancedAllocation
// give 0 to 100 each.
const weight = 5

// SchedulerEntry is what kube-scheduler's configuration needs to call us at a URL for pods
// that ask for any of the resources, and for those that carry the marker since they get their
// GPUs by claims. manifests/scheduler holds the same as a file.
func SchedulerEntry(url string, resources ...string) configv1.Extender {
	entry := configv1.Extender{
		URLPrefix:        url,
		FilterVerb:       "filter",
		PrioritizeVerb:   "prioritize",
		PreemptVerb:      "preempt",
		Weight:           weight,
		HTTPTimeout:      metav1.Duration{Duration: 300 * time.Millisecond},
		NodeCacheCapable: true,
		Ignorable:        true,
	}
	for _, name := range resources {
		entry.ManagedResources = append(entry.ManagedResources, configv1.ExtenderManagedResource{Name: name})
	}
	entry.ManagedResources = append(entry.ManagedResources, configv1.ExtenderManagedResource{Name: v1alpha1.ResourceManaged, IgnoredByScheduler: true})
	return entry
}
