package invariant

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// known is how long a placeholder has been on its node when the extender must have seen it there, also
	// where its watch had ended with an API server that was killed.
	known = 10 * time.Second
	// Taken is how long a placeholder may stand that somebody has been given.
	Taken = 10 * time.Second
)

// Instead holds that cheaper work on a node does not go where placeholders there would do: none of it
// is preempted for another pod while placeholders stay on its node that hold as much. Who looks at
// priorities alone, as a scheduler does, takes the cheaper work.
type Instead struct {
	name
	class  string
	stand  map[string]map[string]placed // by node and name
	work   map[string]map[string]bool   // the cheaper work, likewise
	doubts []doubt
	beside int
}

// placed is a placeholder that has a node.
type placed struct {
	gpus  int64
	since time.Time
}

// doubt is work that had to go, and the placeholders that stood beside it.
type doubt struct {
	change Change
	says   string
	gpus   int64
	stay   map[string]int64
}

// WorkInstead is Instead for pods of a priority class that hold GPUs, and less of all else than a
// placeholder that holds as many.
func WorkInstead(class string) *Instead {
	return &Instead{name: "no-work-evicted-instead-of-placeholders", class: class, stand: map[string]map[string]placed{}, work: map[string]map[string]bool{}}
}

// Beside is how many placeholders were taken over on nodes where cheaper work stood, and stayed.
func (i *Instead) Beside() int { return i.beside }

// See takes a pod.
func (i *Instead) See(c Change) []Violation {
	pod, ok := now[*corev1.Pod](c)
	if !ok {
		if pod, ok = was[*corev1.Pod](c); ok {
			i.gone(pod)
		}
		return nil
	}
	if pod.Spec.NodeName == "" {
		return nil
	}
	if disrupted(pod) != "" {
		i.told(c, pod)
	}
	switch {
	case goes(pod):
		i.gone(pod)
	case placeholder(pod):
		if _, stands := i.stand[pod.Spec.NodeName][pod.Name]; !stands {
			put(i.stand, pod.Spec.NodeName, pod.Name, placed{gpusOf(&pod.Spec), c.At})
		}
	case i.cheaper(pod):
		put(i.work, pod.Spec.NodeName, key(pod), true)
	}
	return nil
}

// cheaper says whether a pod is of the work that is held.
func (i *Instead) cheaper(pod *corev1.Pod) bool {
	return pod.Spec.PriorityClassName == i.class && gpusOf(&pod.Spec) > 0
}

// goes says whether a pod holds its room no longer, or not for long.
func goes(pod *corev1.Pod) bool {
	return ended(pod) || disrupted(pod) != "" || pod.DeletionTimestamp != nil
}

// told takes a pod that has been told to go, by this change or before.
func (i *Instead) told(c Change, pod *corev1.Pod) {
	if before, had := was[*corev1.Pod](c); had && disrupted(before) != "" {
		return
	}
	switch {
	case placeholder(pod) && len(i.work[pod.Spec.NodeName]) > 0:
		i.beside++
	case i.cheaper(pod):
		i.doubt(c, pod)
	}
}

// put sets a value in a map of maps.
func put[V any](m map[string]map[string]V, node, name string, value V) {
	if m[node] == nil {
		m[node] = map[string]V{}
	}
	m[node][name] = value
}

// gone forgets a pod.
func (i *Instead) gone(pod *corev1.Pod) {
	if !placeholder(pod) {
		delete(i.work[pod.Spec.NodeName], key(pod))
		return
	}
	delete(i.stand[pod.Spec.NodeName], pod.Name)
	for _, d := range i.doubts {
		delete(d.stay, pod.Name)
	}
}

// doubt notes which placeholders stand beside work that has to go.
func (i *Instead) doubt(c Change, pod *corev1.Pod) {
	if disrupted(pod) != corev1.PodReasonPreemptionByScheduler {
		return // Evictions tells of it
	}
	d := doubt{c, key(pod) + " on node " + pod.Spec.NodeName, gpusOf(&pod.Spec), map[string]int64{}}
	for name, p := range i.stand[pod.Spec.NodeName] {
		if c.At.Sub(p.since) >= known {
			d.stay[name] = p.gpus
		}
	}
	i.doubts = append(i.doubts, d)
}

// Look judges work that went long enough ago for all others who had to go to have gone.
func (i *Instead) Look(now time.Time) []Violation {
	var found []Violation
	i.doubts = slices.DeleteFunc(i.doubts, func(d doubt) bool {
		if now.Sub(d.change.At) < Taken {
			return false
		}
		sum := int64(0)
		for _, gpus := range d.stay {
			sum += gpus
		}
		if sum >= d.gpus {
			found = append(found, i.violated(d.change, "pod %s was preempted, and placeholders with %d GPUs stay there: %v", d.says, sum, slices.Sorted(maps.Keys(d.stay)))...)
		}
		return true
	})
	return found
}
