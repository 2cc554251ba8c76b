// Package topology knows the Workloads of Kueue that wait for room under topology-aware scheduling. That counts
// what placeholders hold as used, whatever their priority, and lets no pod of a Workload come into being before
// there is room for all of them: so nobody preempts, and placeholders have to go before.
//
// It reads LocalQueue, ClusterQueue, ResourceFlavor and Topology of Kueue as their documentation has them
// (kueue.sigs.k8s.io/docs/concepts/topology_aware_scheduling), as capacity/kueue does Workloads.
package topology

import (
	"math"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/capacity/kueue"
)

// Load is a Workload that waits for room.
type Load struct {
	metav1.ObjectMeta
	// Kind is the Workload's, for events.
	Kind metav1.TypeMeta
	// Topology is the name of the Topology in which it found none.
	Topology string
	// Queue is the name of its LocalQueue.
	Queue string
	// Groups are its pods.
	Groups []Group
}

// Group are pods alike.
type Group struct {
	// Pod is one of them, and Count how many there are.
	Pod   *corev1.Pod
	Count int64
	// Level is the node label within one value of which all of them are to run; empty for anywhere. If they only
	// prefer that, Required is false.
	Level    string
	Required bool
}

// Annotations of pod templates that say the same.
const (
	requiredAnnotation  = "kueue.x-k8s.io/podset-required-topology"
	preferredAnnotation = "kueue.x-k8s.io/podset-preferred-topology"
	sliceAnnotation     = "kueue.x-k8s.io/podset-slice-required-topology"
)

// noRoom is how Kueue says that a topology has no room, in the condition QuotaReserved. Its reason has been
// TopologyPlacementFailed since 0.19, where a feature gate lets it be, and Pending before.
var noRoom = regexp.MustCompile(`topology "([^"]+)" (allows to fit only|doesn't allow to fit any of)`)

// read is a Load; false for a Workload that waits for nothing, or for something else.
func read(item *unstructured.Unstructured) (load Load, ok bool) {
	topology := waitsFor(item)
	if topology == "" {
		return load, false
	}
	w, ok := kueue.Read(item)
	if !ok {
		return load, false
	}
	load = Load{ObjectMeta: w.ObjectMeta, Kind: w.TypeMeta, Topology: topology, Queue: w.Spec.Queue}
	for _, set := range w.Spec.PodSets {
		one, ok := groupOf(w, set)
		if !ok {
			return load, false
		}
		load.Groups = append(load.Groups, one)
	}
	return load, true
}

// waitsFor is the topology that a Workload finds no room in; empty if it waits for none.
func waitsFor(item *unstructured.Unstructured) string {
	p := kueue.ProgressOf(item)
	if !p.Active() || p.Is("Admitted", "Finished") || item.GetDeletionTimestamp() != nil {
		return ""
	}
	reserved := meta.FindStatusCondition(p.Status.Conditions, "QuotaReserved")
	if reserved == nil || reserved.Status != metav1.ConditionFalse {
		return ""
	}
	if found := noRoom.FindStringSubmatch(reserved.Message); found != nil {
		return found[1]
	}
	return ""
}

// groupOf is a pod set; false for one of which parts must run together, which is not reckoned with.
func groupOf(w kueue.Workload, set kueue.PodSet) (Group, bool) {
	pod := &corev1.Pod{ObjectMeta: set.Template.ObjectMeta, Spec: set.Template.Spec}
	pod.Namespace, pod.Name = w.Namespace, w.Name
	pod.Spec.Priority, pod.Spec.SchedulingGates = new(priorityOf(w, pod)), nil
	g := Group{Pod: pod, Count: set.Count}
	say := kueue.TopologyRequest{}
	if set.Topology != nil {
		say = *set.Topology
	}
	for name, into := range map[string]**string{requiredAnnotation: &say.Required, preferredAnnotation: &say.Preferred, sliceAnnotation: &say.SliceRequired} {
		if value := pod.Annotations[name]; *into == nil && value != "" {
			*into = &value
		}
	}
	switch {
	case say.Required != nil:
		g.Level, g.Required = *say.Required, true
	case say.Preferred != nil:
		g.Level = *say.Preferred
	}
	return g, say.SliceRequired == nil
}

// priorityOf is the priority that pods of the Workload will have: the Workload's own, if that comes from
// their PriorityClass; else, since pods get theirs at creation, zero without a class, and the lowest
// where it is not known.
func priorityOf(w kueue.Workload, pod *corev1.Pod) int32 {
	ofPods := w.Spec.Source == "scheduling.k8s.io/priorityclass" || w.Spec.Ref.Kind == "PriorityClass"
	switch {
	case ofPods && w.Spec.Priority != nil:
		return *w.Spec.Priority
	case pod.Spec.PriorityClassName == "":
		return 0
	default:
		return math.MinInt32 + 1
	}
}
