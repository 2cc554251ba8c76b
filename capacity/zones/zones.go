// Package zones tells in which zones a WarmPool may have nodes, and in which its placeholders are.
package zones

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/capacity/placeholder"
)

// Zones are those of one pool; the zero value has none.
type Zones struct {
	// Names are the zones that it may have nodes in, sorted.
	Names []string
	// of is the zone of each of its nodes, by name.
	of map[string]string
}

// Of finds the zones of a pool: those that its selector lists, else those of its nodes and of the NodePools
// that may make them. A pool that is not spread has none.
func Of(pool *v1alpha1.WarmPool, nodes []*corev1.Node, nodePools []karpenter.NodePool) Zones {
	if pool.Spec.Nodes.Zones == nil {
		return Zones{}
	}
	key, z, found := pool.Spec.Nodes.Zones.Key, Zones{of: map[string]string{}}, map[string]bool{}
	for _, node := range nodes {
		if zone := node.Labels[key]; zone != "" {
			z.of[node.Name] = zone
			found[zone] = true
		}
	}
	for _, template := range nodePools {
		for _, zone := range template.Offers(key) {
			found[zone] = true
		}
	}
	z.Names = slices.Sorted(maps.Keys(found))
	if listed := listedBy(pool.Spec.Nodes.Selector, key); listed != nil {
		z.Names = listed
	}
	return z
}

// listedBy are the zones that a selector lists; nil if it lists none.
func listedBy(selector metav1.LabelSelector, key string) []string {
	for _, e := range selector.MatchExpressions {
		if e.Key == key && e.Operator == metav1.LabelSelectorOpIn {
			return slices.Compact(slices.Sorted(slices.Values(e.Values)))
		}
	}
	return nil
}

// At is the zone of a placeholder's node, else the one that it was ungated into; empty for neither.
func (z Zones) At(pool *v1alpha1.WarmPool, pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" {
		return z.of[pod.Spec.NodeName]
	}
	return placeholder.Zone(pool, pod)
}

// In are those of some nodes that are in a zone.
func (z Zones) In(zone string, nodes []*corev1.Node) []*corev1.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(node *corev1.Node) bool { return z.of[node.Name] != zone })
}
