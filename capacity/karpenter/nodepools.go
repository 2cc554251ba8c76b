// Package karpenter reads Karpenter's NodePools and NodeClaims.
package karpenter

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// NodePool is what is known of the nodes that one will make.
type NodePool struct {
	// Labels are those that all of them carry.
	Labels map[string]string
	// Choices are the labels of which a node carries one value of several.
	Choices map[string][]string
	// MaxNodes is the ceiling of the NodePool as it is written, empty for none.
	MaxNodes string
	// CeilingMode is what that does, as it is written.
	CeilingMode string
}

// NodePoolLabel names a node's NodePool.
const NodePoolLabel = "karpenter.sh/nodepool"

var nodePoolList = schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodePoolList"}

// NodePools lists them; a cluster without Karpenter has none.
func NodePools(ctx context.Context, live client.Reader) ([]NodePool, error) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(nodePoolList)
	if err := live.List(ctx, &list); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("list Karpenter's NodePools: %w", err)
	}
	var templates []NodePool
	for _, pool := range list.Items {
		templates = append(templates, templateOf(pool))
	}
	return templates, nil
}

func templateOf(pool unstructured.Unstructured) NodePool {
	t := NodePool{
		Labels: map[string]string{NodePoolLabel: pool.GetName()}, Choices: map[string][]string{},
		MaxNodes: pool.GetAnnotations()[v1alpha1.AnnotationMaxNodes], CeilingMode: pool.GetAnnotations()[v1alpha1.AnnotationCeilingMode],
	}
	given, _, _ := unstructured.NestedStringMap(pool.Object, "spec", "template", "metadata", "labels")
	maps.Copy(t.Labels, given)
	requirements, _, _ := unstructured.NestedSlice(pool.Object, "spec", "template", "spec", "requirements")
	for _, item := range requirements {
		requirement, _ := item.(map[string]any)
		name, _, _ := unstructured.NestedString(requirement, "key")
		operator, _, _ := unstructured.NestedString(requirement, "operator")
		values, _, _ := unstructured.NestedStringSlice(requirement, "values")
		if operator == string(corev1.NodeSelectorOpIn) {
			t.Choices[name] = values
		}
	}
	return t
}

// Offers are the values of a label that its nodes may carry, as far as it says.
func (t NodePool) Offers(label string) []string {
	if value, isFixed := t.Labels[label]; isFixed {
		return []string{value}
	}
	return t.Choices[label]
}

// MayMatch tells whether a node made from the template can match the selector. Labels that
// Karpenter fills in from the instance type it chooses are given the benefit of the doubt.
func (t NodePool) MayMatch(s labels.Selector) bool {
	requirements, selectable := s.Requirements()
	if !selectable {
		return false
	}
	for _, requirement := range requirements {
		name := requirement.Key()
		values, isChoice := t.Choices[name]
		_, isFixed := t.Labels[name]
		switch {
		case isFixed:
			if !requirement.Matches(labels.Set(t.Labels)) {
				return false
			}
		case isChoice:
			fits := func(value string) bool { return requirement.Matches(labels.Set{name: value}) }
			if !slices.ContainsFunc(values, fits) {
				return false
			}
		case !filledIn(name) && !requirement.Matches(labels.Set{}):
			return false
		}
	}
	return true
}

// filledIn tells whether the cloud provider or Karpenter writes a label by itself.
func filledIn(label string) bool {
	return slices.Contains([]string{corev1.LabelTopologyZone, corev1.LabelInstanceTypeStable, corev1.LabelArchStable, corev1.LabelOSStable, "karpenter.sh/capacity-type"}, label)
}
