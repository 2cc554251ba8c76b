package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook"
)

// quotaName is the ResourceQuota by which bare pods, which no ledger counts, are bound.
const quotaName = "forewarm-max-gpus"

// quotaResources are bound to the total, each by itself: a quota knows no sum of resources.
var quotaResources = []string{"nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"}

// boundPods makes the quota of a Namespace whose GPUs are bound. A number that cannot be read
// leaves it as it is.
func (t *term) boundPods(ctx context.Context, h Holder, namespace metav1.Object) error {
	value, set := namespace.GetAnnotations()[webhook.MaxGPUs]
	if !set {
		return t.freePods(ctx, h)
	}
	holding := t.holding(h)
	total, err := webhook.ParseCeiling(value)
	if err != nil {
		return nil
	}
	names, err := t.quotaNames(ctx)
	if err != nil {
		return err
	}
	wanted := value + " " + strings.Join(names, " ")
	if wanted == holding.quota {
		return nil
	}
	hard := corev1.ResourceList{}
	for _, name := range names {
		hard[corev1.ResourceName(name)] = *resource.NewQuantity(total, resource.DecimalSI)
	}
	quota := &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Name, Name: quotaName},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}
	body, err := json.Marshal(quota)
	if err != nil {
		return err
	}
	options := metav1.PatchOptions{FieldManager: "forewarm-webhook", Force: new(true)}
	if _, err := t.Quotas.ResourceQuotas(h.Name).Patch(ctx, quotaName, types.ApplyPatchType, body, options); err != nil {
		return fmt.Errorf("apply ResourceQuota %s/%s: %w", h.Name, quotaName, err)
	}
	holding.quota = wanted
	return nil
}

// quotaNames are what a quota calls the resources, and the devices that claims get of each class.
func (t *term) quotaNames(ctx context.Context) ([]string, error) {
	var out []string
	for _, name := range quotaResources {
		out = append(out, corev1.DefaultResourceRequestsPrefix+name)
	}
	if t.Claims == nil {
		return out, nil
	}
	classes, err := t.Claims.Classes(ctx)
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		out = append(out, class+corev1.ResourceClaimsPerClass)
	}
	return out, err
}

// freePods removes the quota.
func (t *term) freePods(ctx context.Context, h Holder) error {
	t.mu.Lock()
	holding, known := t.holders[h]
	t.mu.Unlock()
	if known && holding.quota == none {
		return nil
	}
	if err := t.Quotas.ResourceQuotas(h.Name).Delete(ctx, quotaName, metav1.DeleteOptions{}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete ResourceQuota %s/%s: %w", h.Name, quotaName, err)
	}
	if known {
		holding.quota = none
	}
	return nil
}

// none is the number of a Namespace of which it is known that it has no quota.
const none = "none"
