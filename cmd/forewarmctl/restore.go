package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"forewarm.dev/webhook"
)

// restoreAll gives every HPA back what it had before it was brought under a ceiling. One that
// fails does not keep the others.
func (a admission) restoreAll(ctx context.Context) error {
	list, err := a.client.AutoscalingV2().HorizontalPodAutoscalers("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("list HorizontalPodAutoscalers, to give them back what they had: %w", err)
	}
	var failed error
	for i := range list.Items {
		hpa := &list.Items[i]
		if len(restored(hpa)) == 0 {
			continue
		}
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error { return a.restore(ctx, hpa.Namespace, hpa.Name) })
		if err != nil && !apierrors.IsNotFound(err) {
			failed = errors.Join(failed, fmt.Errorf("restore HorizontalPodAutoscaler %s/%s: %w", hpa.Namespace, hpa.Name, err))
		}
	}
	return failed
}

// restored is the patch by the rule of the webhook, were there no ceiling.
func restored(hpa *autoscalingv2.HorizontalPodAutoscaler) []webhook.Operation {
	most, least := int64(hpa.Spec.MaxReplicas), int64(ptr.Deref(hpa.Spec.MinReplicas, 1))
	return webhook.Clamps().Review(webhook.Request{Bounds: &webhook.Bounds{
		Max: webhook.Bound{Written: most, Old: most}, Min: webhook.Bound{Written: least, Old: least}, Annotations: hpa.Annotations,
	}}).Patch
}

// restore writes twice: once what the HPA had, and then who owned its fields before, so that
// whoever applies it from Git is not told of a conflict with this command.
func (a admission) restore(ctx context.Context, namespace, name string) error {
	hpas := a.client.AutoscalingV2().HorizontalPodAutoscalers(namespace)
	hpa, err := hpas.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	ops := restored(hpa)
	if len(ops) == 0 {
		return nil
	}
	ops = append(ops, webhook.Operation{Op: "replace", Path: "/metadata/resourceVersion", Value: hpa.ResourceVersion})
	patch, err := json.Marshal(ops)
	if err != nil {
		return err
	}
	now, err := hpas.Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	owners, err := json.Marshal([]webhook.Operation{
		{Op: "replace", Path: "/metadata/managedFields", Value: hpa.ManagedFields},
		{Op: "replace", Path: "/metadata/resourceVersion", Value: now.ResourceVersion},
	})
	if err != nil {
		return err
	}
	if _, err := hpas.Patch(ctx, name, types.JSONPatchType, owners, metav1.PatchOptions{}); err != nil && !apierrors.IsConflict(err) {
		return err
	}
	_, err = fmt.Fprintf(a.output, "restored HorizontalPodAutoscaler %s/%s: minReplicas %d, maxReplicas %d\n", namespace, name, ptr.Deref(now.Spec.MinReplicas, 1), now.Spec.MaxReplicas)
	return err
}
