package coming

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
)

// bounded adds what bounds it.
func (f *Finder) bounded(ctx context.Context, future Future) (Future, error) {
	var quotas corev1.ResourceQuotaList
	if err := f.list(ctx, &quotas); err != nil {
		return future, fmt.Errorf("list ResourceQuotas: %w", err)
	}
	var namespaces corev1.NamespaceList
	if err := f.list(ctx, &namespaces); err != nil {
		return future, fmt.Errorf("list namespaces: %w", err)
	}
	future.quotas, future.namespaces = quotas.Items, namespaces.Items
	return future, nil
}

// Allowance is what is left to namespaces of a resource, by their ResourceQuotas and by the ceiling
// forewarm.dev/max-gpus. A ceiling that cannot be read leaves nothing: what it would allow is not known.
// pods are all pods, by namespace.
func (f Future) Allowance(resource corev1.ResourceName, pods []*corev1.Pod) capacity.Allowance {
	return func(namespace string) *float64 {
		left := bound{}
		for i := range f.quotas {
			if f.quotas[i].Namespace == namespace {
				left.byQuota(&f.quotas[i], resource)
			}
		}
		for i := range f.namespaces {
			if f.namespaces[i].Name == namespace {
				left.byCeiling(&f.namespaces[i], resource, pods)
			}
		}
		return left.most
	}
}

// bound is what is left to a namespace; nil for any amount.
type bound struct{ most *float64 }

func (b *bound) lower(most float64) {
	if b.most == nil || most < *b.most {
		b.most = &most
	}
}

func (b *bound) byQuota(quota *corev1.ResourceQuota, resource corev1.ResourceName) {
	if len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil {
		return // it bounds some pods only
	}
	for _, name := range []corev1.ResourceName{resource, corev1.DefaultResourceRequestsPrefix + resource} {
		if _, ok := quota.Status.Hard[name]; ok {
			b.lower(float64(base(resource, name, quota.Status.Hard) - base(resource, name, quota.Status.Used)))
		}
	}
}

func (b *bound) byCeiling(namespace *corev1.Namespace, resource corev1.ResourceName, pods []*corev1.Pod) {
	value, ok := namespace.Annotations[v1alpha1.AnnotationMaxGPUs]
	if !ok {
		return
	}
	most, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		most = 0
	}
	b.lower(float64(most) - used(namespace.Name, resource, pods))
}

// base is a quantity of a quota in the resource's base unit.
func base(resource, name corev1.ResourceName, list corev1.ResourceList) int64 {
	return quantity.Of(corev1.ResourceList{resource: list[name]})[resource]
}

// used is what the pods of a namespace ask for.
func used(namespace string, resource corev1.ResourceName, pods []*corev1.Pod) float64 {
	sum := int64(0)
	first, _ := slices.BinarySearchFunc(pods, namespace, func(pod *corev1.Pod, namespace string) int {
		return strings.Compare(pod.Namespace, namespace)
	})
	for _, pod := range pods[first:] {
		if pod.Namespace != namespace {
			break
		}
		sum += quantity.OfPod(pod)[resource]
	}
	return float64(sum)
}
