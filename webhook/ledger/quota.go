package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// quotaName is the ResourceQuota that binds the GPUs of all pods, of which no ledger counts the bare ones.
const quotaName = "forewarm-max-gpus"

// onlyOurQuota is also by what RBAC lets it be listed and watched.
const onlyOurQuota = metav1.ObjectNameField + "=" + quotaName

// quotaResources are bound to the total, each by itself: a quota knows no sum of resources.
var quotaResources = []string{"nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"}

// boundPods makes the quota of a Namespace whose GPUs are bound as it should be, and again when
// somebody else changes or deletes it. Where the mode refuses nothing there is none. A number that
// cannot be read leaves it as it is, and so does Forewarm while it is disarmed: forewarmctl has then
// removed it.
func (t *term) boundPods(ctx context.Context, h Holder, namespace metav1.Object) error {
	w, err := t.watches.ensure(ctx, quotas)
	if err != nil {
		return err
	}
	seen := w.get(h.Name, quotaName)
	value, set := refusing(namespace)
	if !set {
		if shown, _ := w.synced(); shown && seen == nil {
			return nil
		}
		return t.freePods(ctx, h)
	}
	total, err := webhook.ParseCeiling(value)
	if err != nil {
		return nil
	}
	hard, err := t.hard(ctx, total, t.holding(h).devices)
	if err != nil {
		return err
	}
	if seen != nil && apiequality.Semantic.DeepEqual(seen.hard, hard) {
		return nil
	}
	if disarmed, err := t.Disarmed(ctx); disarmed || err != nil {
		t.queue.AddAfter(h, whileDisarmed)
		return err
	}
	return t.applyQuota(ctx, h, hard)
}

// refusing is the total of GPUs of a Namespace, where it has one that refuses anything.
func refusing(namespace metav1.Object) (value string, set bool) {
	value, set = namespace.GetAnnotations()[webhook.MaxGPUs]
	return value, set && reviewed(namespace) == v1alpha1.TotalsEnforced
}

// hard is what a quota of a total allows. Where workloads ask for more by their templates, as they may that stood
// before the total, it is that, so that pods which are lost come back; it goes down with them. What claims get is
// bound to the total all the same: a claim's template may be made after its workload, which asks nobody.
func (t *term) hard(ctx context.Context, total, standing int64) (corev1.ResourceList, error) {
	hard := corev1.ResourceList{}
	for _, name := range quotaResources {
		hard[corev1.ResourceName(corev1.DefaultResourceRequestsPrefix+name)] = *resource.NewQuantity(max(total, standing), resource.DecimalSI)
	}
	if t.Claims == nil {
		return hard, nil
	}
	classes, err := t.Claims.Classes(ctx)
	for class := range classes {
		hard[corev1.ResourceName(class+corev1.ResourceClaimsPerClass)] = *resource.NewQuantity(total, resource.DecimalSI)
	}
	return hard, err
}

func (t *term) applyQuota(ctx context.Context, h Holder, hard corev1.ResourceList) error {
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
	return nil
}

// freePods removes the quota.
func (t *term) freePods(ctx context.Context, h Holder) error {
	if err := t.Quotas.ResourceQuotas(h.Name).Delete(ctx, quotaName, metav1.DeleteOptions{}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete ResourceQuota %s/%s: %w", h.Name, quotaName, err)
	}
	return nil
}

// Release removes the quotas of all Namespaces, and says which there were.
func Release(ctx context.Context, client corev1client.ResourceQuotasGetter) (released []string, err error) {
	list, err := client.ResourceQuotas(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: onlyOurQuota})
	if err != nil {
		return nil, fmt.Errorf("list ResourceQuotas: %w", err)
	}
	for _, quota := range list.Items {
		what := fmt.Sprintf("ResourceQuota %s/%s", quota.Namespace, quotaName)
		failed := client.ResourceQuotas(quota.Namespace).Delete(ctx, quotaName, metav1.DeleteOptions{})
		switch {
		case failed == nil:
			released = append(released, what)
		case !apierrors.IsNotFound(failed):
			err = errors.Join(err, fmt.Errorf("delete %s: %w", what, failed))
		}
	}
	return released, err
}
