package watch

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
)

// Read fills an index from the API server, once.
func Read(ctx context.Context, x *handler.Index, reader client.Reader) error {
	if err := each(ctx, reader, &corev1.NamespaceList{}, x.SetNamespace); err != nil {
		return err
	}
	if err := each(ctx, reader, &v1alpha1.WarmPoolList{}, x.SetPool); err != nil {
		return err
	}
	if err := each(ctx, reader, &corev1.NodeList{}, x.SetNode); err != nil {
		return err
	}
	err := each(ctx, reader, &resourcev1.DeviceClassList{}, x.SetDeviceClass)
	if meta.IsNoMatchError(err) {
		return each(ctx, reader, &corev1.PodList{}, x.SetPod)
	}
	for _, read := range []func() error{
		func() error { return err },
		func() error { return each(ctx, reader, &resourcev1.ResourceSliceList{}, x.SetSlice) },
		func() error { return each(ctx, reader, &resourcev1.ResourceClaimTemplateList{}, x.SetTemplate) },
		func() error { return each(ctx, reader, &resourcev1.ResourceClaimList{}, x.SetClaim) },
		func() error { return each(ctx, reader, &corev1.PodList{}, x.SetPod) },
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// each lists a kind in pages.
func each[T client.Object](ctx context.Context, reader client.Reader, list client.ObjectList, set func(T)) error {
	next := ""
	for {
		if err := reader.List(ctx, list, client.Limit(500), client.Continue(next)); err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			return err
		}
		for _, item := range items {
			if typed, ok := item.(T); ok {
				set(typed)
			}
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}
