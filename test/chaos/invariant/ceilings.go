package invariant

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Ceilings are those of a load, which never change while it runs.
type Ceilings struct {
	// Workloads are the highest replicas of each: "deployment/NAMESPACE/NAME".
	Workloads map[string]int32
	// Totals and GPUs are the highest sums of replicas, and of the GPUs that they ask for, by Namespace.
	Totals, GPUs map[string]int64
}

// workload is what counts of a Deployment or StatefulSet; ok is false for other objects.
func workload(o client.Object) (id string, replicas int32, ok bool) {
	var asked *int32
	var kind string
	switch w := o.(type) {
	case *appsv1.Deployment:
		kind, asked = "deployment", w.Spec.Replicas
	case *appsv1.StatefulSet:
		kind, asked = "statefulset", w.Spec.Replicas
	default:
		return "", 0, false
	}
	replicas = 1
	if asked != nil {
		replicas = *asked
	}
	return kind + "/" + key(o), replicas, true
}

// maxReplicas: no workload has more replicas than its ceiling.
type maxReplicas struct {
	name
	ceilings map[string]int32
}

// MaxReplicas holds workloads to their ceilings.
func MaxReplicas(c Ceilings) Checker { return maxReplicas{"max-replicas", c.Workloads} }

// See looks at one workload.
func (m maxReplicas) See(c Change) []Violation {
	id, replicas, ok := workload(c.After)
	if most, held := m.ceilings[id]; ok && held && replicas > most {
		return m.violated(c, "%s has %d replicas, at most %d allowed", id, replicas, most)
	}
	return nil
}

// totals: the workloads of a Namespace have no more than its total of something, all together.
type totals struct {
	name
	unit string
	most map[string]int64
	// amount is what one workload adds.
	amount func(client.Object, int32) int64
	// stands is what each workload has, by Namespace.
	stands map[string]map[string]int64
}

// Totals holds Namespaces to their totals of replicas.
func Totals(c Ceilings) Checker {
	return totals{"max-total-replicas", "replicas", c.Totals, func(_ client.Object, replicas int32) int64 { return int64(replicas) }, map[string]map[string]int64{}}
}

// GPUs holds Namespaces to their totals of GPUs: replicas times the whole GPUs that a pod of the template
// is limited to, of NVIDIA and AMD.
func GPUs(c Ceilings) Checker {
	return totals{"max-gpus", "GPUs", c.GPUs, func(o client.Object, replicas int32) int64 { return int64(replicas) * gpusOf(template(o)) }, map[string]map[string]int64{}}
}

// template is the pod that a workload makes.
func template(o client.Object) *corev1.PodSpec {
	switch w := o.(type) {
	case *appsv1.Deployment:
		return &w.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &w.Spec.Template.Spec
	}
	return &corev1.PodSpec{}
}

// gpusOf are the whole GPUs that a pod holds.
func gpusOf(pod *corev1.PodSpec) (n int64) {
	for i := range pod.Containers {
		for name, quantity := range pod.Containers[i].Resources.Limits {
			if name == "nvidia.com/gpu" || name == "amd.com/gpu" {
				n += quantity.Value()
			}
		}
	}
	return n
}

// See counts one workload.
func (t totals) See(c Change) []Violation {
	object := c.After
	if object == nil {
		object = c.Before
	}
	id, replicas, ok := workload(object)
	if !ok {
		return nil
	}
	namespace := object.GetNamespace()
	most, held := t.most[namespace]
	if !held {
		return nil
	}
	if t.stands[namespace] == nil {
		t.stands[namespace] = map[string]int64{}
	}
	if c.After == nil {
		delete(t.stands[namespace], id)
		return nil
	}
	before, now := t.stands[namespace][id], t.amount(object, replicas)
	t.stands[namespace][id] = now
	var sum int64
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(t.stands[namespace])) {
		sum += t.stands[namespace][id]
		parts = append(parts, fmt.Sprintf("%s %d", id, t.stands[namespace][id]))
	}
	if sum > most && now > before {
		return t.violated(c, "Namespace %s has %d %s, at most %d allowed: %s", namespace, sum, t.unit, most, strings.Join(parts, ", "))
	}
	return nil
}

// Replicas tells those of a workload; nothing of other objects.
func Replicas(o client.Object) string {
	if _, replicas, ok := workload(o); ok {
		return fmt.Sprintf(", %d replicas of %d GPUs", replicas, gpusOf(template(o)))
	}
	return ""
}
