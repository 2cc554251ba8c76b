package reserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// ensureGuards makes the namespace and the PriorityClass of the placeholder pods where
// they are missing. A PriorityClass whose value differs is left alone and refused: its
// value cannot be changed, and another priority could evict real work.
func (r *Reserver) ensureGuards(ctx context.Context) error {
	if r.guarded {
		return nil
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   r.options.PlaceholderNamespace,
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := createIfMissing(ctx, r.live, r.cached, namespace); err != nil {
		return err
	}
	class := &schedulingv1.PriorityClass{
		ObjectMeta:       metav1.ObjectMeta{Name: v1alpha1.PlaceholderPriorityClass},
		Value:            r.options.Priority,
		PreemptionPolicy: ptr.To(corev1.PreemptNever),
		Description:      "Placeholder pods of Forewarm: they hold capacity until a real pod takes it.",
	}
	if err := createIfMissing(ctx, r.live, r.cached, class); err != nil {
		return err
	}
	if class.Value != r.options.Priority {
		return fmt.Errorf("PriorityClass %s has value %d, reserver.priority in the configuration is %d: delete the class, or set reserver.priority to its value",
			class.Name, class.Value, r.options.Priority)
	}
	r.guarded = true
	return nil
}

// createIfMissing reads the object into place, or creates it.
func createIfMissing(ctx context.Context, live client.Reader, writer client.Client, object client.Object) error {
	err := live.Get(ctx, client.ObjectKeyFromObject(object), object)
	if apierrors.IsNotFound(err) {
		err = writer.Create(ctx, object)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", object.GetName(), err)
	}
	return nil
}
