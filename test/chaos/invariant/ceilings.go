package invariant

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Ceilings are those of a load, which never change while it runs.
type Ceilings struct {
	// Workloads are the highest replicas of each: "deployment/NAMESPACE/NAME".
	Workloads map[string]int32
	// Totals are the highest sums of replicas by Namespace.
	Totals map[string]int32
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

// totals: the workloads of a Namespace have no more replicas than its total, all together.
type totals struct {
	name
	most map[string]int32
	// stands are the replicas of each workload, by Namespace.
	stands map[string]map[string]int32
}

// Totals holds Namespaces to their totals.
func Totals(c Ceilings) Checker {
	return totals{"max-total-replicas", c.Totals, map[string]map[string]int32{}}
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
		t.stands[namespace] = map[string]int32{}
	}
	if c.After == nil {
		delete(t.stands[namespace], id)
		return nil
	}
	before := t.stands[namespace][id]
	t.stands[namespace][id] = replicas
	var sum int32
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(t.stands[namespace])) {
		sum += t.stands[namespace][id]
		parts = append(parts, fmt.Sprintf("%s %d", id, t.stands[namespace][id]))
	}
	if sum > most && replicas > before {
		return t.violated(c, "Namespace %s has %d replicas, at most %d allowed: %s", namespace, sum, most, strings.Join(parts, ", "))
	}
	return nil
}

// Replicas tells those of a workload; nothing of other objects.
func Replicas(o client.Object) string {
	if _, replicas, ok := workload(o); ok {
		return fmt.Sprintf(", %d replicas", replicas)
	}
	return ""
}
