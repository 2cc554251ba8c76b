package coming

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
)

// Allowances is what is left to namespaces of a resource, by their ResourceQuotas and by the ceiling
// forewarm.dev/max-gpus. A ceiling that cannot be read leaves nothing: what it would allow is not known.
func Allowances(ctx context.Context, cached client.Reader, resource corev1.ResourceName, pods []*corev1.Pod) (capacity.Allowance, error) {
	left := bounds{}
	var quotas corev1.ResourceQuotaList
	if err := cached.List(ctx, &quotas, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list ResourceQuotas: %w", err)
	}
	for i := range quotas.Items {
		left.byQuota(&quotas.Items[i], resource)
	}
	var namespaces corev1.NamespaceList
	if err := cached.List(ctx, &namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	for i := range namespaces.Items {
		left.byCeiling(&namespaces.Items[i], resource, pods)
	}
	return left.of, nil
}

// bounds is what is left to namespaces that something bounds.
type bounds map[string]float64

func (b bounds) lower(namespace string, most float64) {
	if known, ok := b[namespace]; !ok || most < known {
		b[namespace] = most
	}
}

func (b bounds) byQuota(quota *corev1.ResourceQuota, resource corev1.ResourceName) {
	if len(quota.Spec.Scopes) > 0 || quota.Spec.ScopeSelector != nil {
		return // it bounds some pods only
	}
	for _, name := range []corev1.ResourceName{resource, corev1.DefaultResourceRequestsPrefix + resource} {
		if _, ok := quota.Status.Hard[name]; ok {
			b.lower(quota.Namespace, float64(base(resource, name, quota.Status.Hard)-base(resource, name, quota.Status.Used)))
		}
	}
}

func (b bounds) byCeiling(namespace *corev1.Namespace, resource corev1.ResourceName, pods []*corev1.Pod) {
	value, ok := namespace.Annotations[v1alpha1.AnnotationMaxGPUs]
	if !ok {
		return
	}
	most, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		most = 0
	}
	b.lower(namespace.Name, float64(most)-used(namespace.Name, resource, pods))
}

func (b bounds) of(namespace string) *float64 {
	if most, ok := b[namespace]; ok {
		return &most
	}
	return nil
}

// base is a quantity of a quota in the resource's base unit.
func base(resource, name corev1.ResourceName, list corev1.ResourceList) int64 {
	return quantity.Of(corev1.ResourceList{resource: list[name]})[resource]
}

// used is what the pods of a namespace ask for.
func used(namespace string, resource corev1.ResourceName, pods []*corev1.Pod) float64 {
	sum := int64(0)
	for _, pod := range pods {
		if pod.Namespace == namespace {
			sum += quantity.OfPod(pod)[resource]
		}
	}
	return float64(sum)
}
