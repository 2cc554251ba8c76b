// Package demand tells which pods belong to which WarmPool: the demand class that its
// selectors describe.
package demand

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
)

// Class is the compiled selection of one WarmPool.
type Class struct {
	Pool     string
	Priority int32
	// Resource is what a pod of the class asks for.
	Resource corev1.ResourceName
	// Nodes, Namespaces and Pods select by labels.
	Nodes, Namespaces, Pods labels.Selector
}

// Compile compiles the selectors of a pool. The error names the field.
func Compile(pool *v1alpha1.WarmPool) (Class, error) {
	c := Class{Pool: pool.Name, Priority: pool.Spec.Priority, Resource: pool.Spec.Demand.Resource}
	for _, s := range []struct {
		field string
		from  *metav1.LabelSelector
		to    *labels.Selector
	}{
		{"spec.nodes.selector", &pool.Spec.Nodes.Selector, &c.Nodes},
		{"spec.demand.namespaceSelector", &pool.Spec.Demand.NamespaceSelector, &c.Namespaces},
		{"spec.demand.podSelector", &pool.Spec.Demand.PodSelector, &c.Pods},
	} {
		compiled, err := metav1.LabelSelectorAsSelector(s.from)
		if err != nil {
			return c, fmt.Errorf("%s: %w", s.field, err)
		}
		*s.to = compiled
	}
	return c, nil
}

// Sort orders classes as pods choose among them: highest priority first, then by name.
func Sort(classes []Class) {
	slices.SortFunc(classes, func(a, b Class) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Pool, b.Pool))
	})
}

// Matches tells whether a pod, in a namespace with these labels, is of the class.
func (c *Class) Matches(pod *corev1.Pod, namespace labels.Set) bool {
	return requests(pod, c.Resource) && c.Selects(pod, namespace)
}

// Selects tells whether a pod is one of those that the class is made of, whatever it asks for.
func (c *Class) Selects(pod *corev1.Pod, namespace labels.Set) bool {
	return c.Namespaces.Matches(namespace) && c.Pods.Matches(labels.Set(pod.Labels))
}

// Owner is the index of the class that a pod belongs to: the one that its annotation
// names, if it is of that class, else the first of the sorted classes that it is of; −1 if
// it is of none.
func Owner(classes []Class, pod *corev1.Pod, namespace labels.Set) int {
	named := pod.Annotations[v1alpha1.AnnotationPool]
	first, asks := -1, false
	for i := range classes {
		if i == 0 || classes[i].Resource != classes[i-1].Resource {
			asks = requests(pod, classes[i].Resource)
		}
		if !asks || !classes[i].Selects(pod, namespace) {
			continue
		}
		if classes[i].Pool == named {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// requests is a cheap look before the exact sum: most pods ask for no GPU.
func requests(pod *corev1.Pod, resource corev1.ResourceName) bool {
	some := func(list corev1.ResourceList) bool {
		amount := list[resource]
		return !amount.IsZero()
	}
	asks := func(c corev1.Container) bool { return some(c.Resources.Requests) }
	if pod.Spec.Resources != nil && some(pod.Spec.Resources.Requests) {
		return true
	}
	return slices.ContainsFunc(pod.Spec.Containers, asks) || slices.ContainsFunc(pod.Spec.InitContainers, asks)
}

// IsPlaceholder tells whether a pod is a placeholder of ours, in the namespace of
// placeholders. A pod of another priority may be somebody's work, whatever its label says.
func IsPlaceholder(pod *corev1.Pod, namespace string) bool {
	return pod.Namespace == namespace && pod.Labels[v1alpha1.LabelPool] != "" &&
		v1alpha1.IsPlaceholderClass(pod.Spec.PriorityClassName)
}
