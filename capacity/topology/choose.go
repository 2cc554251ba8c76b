package topology

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
)

func into(item *unstructured.Unstructured, object any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, object)
}

func compare(a, b Load) int {
	return cmp.Or(cmp.Compare(b.priority(), a.priority()), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
}

func (l Load) priority() (highest int32) {
	for i, g := range l.Groups {
		if p := *g.Pod.Spec.Priority; i == 0 || p > highest {
			highest = p
		}
	}
	return highest
}

// Victims are the placeholders that give way so that all pods of some groups fit at once on nodes of one flavor of
// the topology, by TakeOverTogether; none if they cannot, or fit as it is. held is what is free on nodes and
// which placeholders may go, and left what is left of it for others then.
func (t Tree) Victims(groups []Group, s snapshot.Snapshot, held []capacity.HeldNode) (pods []string, left []capacity.HeldNode) {
	left = held
	for _, f := range t.flavors {
		var asked []capacity.Group
		for _, g := range groups {
			asked = append(asked, t.group(g, f, s))
		}
		victims, then, fits := capacity.TakeOverTogether(asked, held)
		if fits && len(victims) == 0 {
			return nil, then
		}
		if fits && len(pods) == 0 {
			pods, left = victims, then
		}
	}
	return pods, left
}

// group says where pods may run as Kueue would have them do in a flavor.
func (t Tree) group(g Group, f flavor, s snapshot.Snapshot) capacity.Group {
	pod := g.Pod.DeepCopy()
	pod.Spec.Tolerations = append(pod.Spec.Tolerations, f.Spec.Tolerations...)
	selector := maps.Clone(f.Spec.NodeLabels)
	if selector == nil {
		selector = map[string]string{}
	}
	maps.Copy(selector, pod.Spec.NodeSelector)
	pod.Spec.NodeSelector = selector
	allowed := s.MayRun(pod)
	var usable []*corev1.Node
	for _, node := range s.Nodes {
		if t.has(node) && allowed(node.Name) {
			usable = append(usable, node)
		}
	}
	return capacity.Group{Requests: quantity.OfPod(pod), Count: g.Count, Priority: *pod.Spec.Priority, Choices: t.choices(g, usable)}
}

// has tells whether a node has a place in the tree.
func (t Tree) has(node *corev1.Node) bool {
	return len(t.levels) > 0 && !slices.ContainsFunc(t.levels, func(level string) bool { return node.Labels[level] == "" })
}

// choices are the domains of the level that is asked for; where that is only preferred, then those of each
// wider one, and then all nodes.
func (t Tree) choices(g Group, nodes []*corev1.Node) [][][]string {
	at := slices.Index(t.levels, g.Level)
	var all [][][]string
	for ; at >= 0; at-- {
		all = append(all, t.domains(at, nodes))
		if g.Required {
			return all
		}
	}
	if g.Required {
		return nil // no level of this topology
	}
	var names []string
	for _, node := range nodes {
		names = append(names, node.Name)
	}
	return append(all, [][]string{names})
}

// domains are the nodes by their values of all levels down to one, in order.
func (t Tree) domains(level int, nodes []*corev1.Node) [][]string {
	byPath := map[string][]string{}
	for _, node := range nodes {
		var path strings.Builder
		for _, label := range t.levels[:level+1] {
			path.WriteString(node.Labels[label] + "\x00")
		}
		byPath[path.String()] = append(byPath[path.String()], node.Name)
	}
	var domains [][]string
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		domains = append(domains, byPath[path])
	}
	return domains
}
