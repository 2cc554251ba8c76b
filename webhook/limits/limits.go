// Package limits has node autoscalers hold max-nodes by themselves, as a second stop for the time
// in which no webhook answers: it generates spec.limits.nodes of Karpenter's NodePools, and one
// CapacityQuota of Cluster Autoscaler. One batch of nodes may still pass either.
//
// A NodePool is somebody's, often Git's. So only a limit that is missing is written, by a field
// manager of its own: what a person or Git writes wins, and what was written is known by who owns
// it and can be taken back whole.
package limits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"forewarm.dev/webhook"
)

const (
	// Manager owns what is generated.
	Manager = "forewarm-webhook-limits"
	// QuotaName is the CapacityQuota that bounds the nodes of the cluster.
	QuotaName = "forewarm-cluster"
)

var (
	nodePools = webhook.NodePools.In(webhook.NodePools.Version)
	nodePool  = nodePools.GroupVersion().WithKind(webhook.NodePools.Name)
	// quotas are the versions of CapacityQuota, the newest first.
	quotas = []schema.GroupVersionResource{
		{Group: "autoscaling.x-k8s.io", Version: "v1beta1", Resource: "capacityquotas"},
		{Group: "autoscaling.x-k8s.io", Version: "v1alpha1", Resource: "capacityquotas"},
	}
)

// bound is what annotations say about a number of nodes.
type bound struct {
	// limit is nil where there is none.
	limit *int64
	// unread is true where a value cannot be read: what is generated already then is not raised.
	unread bool
}

// boundOf is what an object's max-nodes says. In the modes warn and audit it holds nothing.
func boundOf(annotations map[string]string) bound {
	value, set := annotations[webhook.MaxNodes]
	mode, _ := webhook.ParseMode(annotations[webhook.CeilingMode])
	if !set || mode != webhook.Enforce {
		return bound{}
	}
	limit, err := webhook.ParseCeiling(value)
	if err != nil {
		return bound{unread: true}
	}
	return bound{limit: &limit}
}

// and is the smaller of two bounds.
func (b bound) and(other bound) bound {
	out := bound{limit: b.limit, unread: b.unread || other.unread}
	if out.limit == nil || other.limit != nil && *other.limit < *out.limit {
		out.limit = other.limit
	}
	return out
}

// change is what to do about the limit of a NodePool.
type change int

const (
	leave change = iota
	generate
	release
)

// decide compares a NodePool's limit with the bound. What somebody else has written is left
// alone: where it is higher, the auditor tells of it.
func decide(pool *unstructured.Unstructured, b bound) change {
	limit, set := limitOf(pool)
	ours, others := owners(pool)
	switch {
	case b.unread && (b.limit == nil || set && limit <= *b.limit):
		return leave
	case ours && (b.limit == nil || others):
		return release
	case b.limit == nil, set && !ours, set && limit == *b.limit:
		return leave
	default:
		return generate
	}
}

// limitOf is spec.limits.nodes; false where there is none.
func limitOf(pool *unstructured.Unstructured) (int64, bool) {
	value, set, err := unstructured.NestedFieldNoCopy(pool.Object, "spec", "limits", "nodes")
	if err != nil || !set {
		return 0, false
	}
	quantity, err := resource.ParseQuantity(fmt.Sprint(value))
	if err != nil {
		return 0, true
	}
	return quantity.Value(), true
}

// owners says whether we and whether others own the limit.
func owners(pool *unstructured.Unstructured) (ours, others bool) {
	for _, entry := range pool.GetManagedFields() {
		if entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		fields := map[string]any{}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			continue
		}
		if _, owns, _ := unstructured.NestedFieldNoCopy(fields, "f:spec", "f:limits", "f:nodes"); !owns {
			continue
		}
		if entry.Manager == Manager {
			ours = true
		} else {
			others = true
		}
	}
	return ours, others
}

// applyLimit writes the limit of a NodePool, or with nil takes it back. It never takes a field
// over from somebody.
func applyLimit(ctx context.Context, live dynamic.Interface, pool *unstructured.Unstructured, limit *int64) error {
	o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": pool.GetName(), "uid": string(pool.GetUID())}}}
	o.SetGroupVersionKind(nodePool)
	if limit != nil {
		if err := unstructured.SetNestedField(o.Object, *limit, "spec", "limits", "nodes"); err != nil {
			return err
		}
	}
	_, err := live.Resource(nodePools).Apply(ctx, pool.GetName(), o, metav1.ApplyOptions{FieldManager: Manager})
	return err
}

// applyQuota writes the CapacityQuota in the newest version that is served; false where none is.
func applyQuota(ctx context.Context, live dynamic.Interface, limit int64) (bool, error) {
	for _, version := range quotas {
		o := &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": QuotaName},
			"spec":     map[string]any{"limits": map[string]any{"resources": map[string]any{"nodes": limit}}},
		}}
		o.SetGroupVersionKind(version.GroupVersion().WithKind("CapacityQuota"))
		_, err := live.Resource(version).Apply(ctx, QuotaName, o, metav1.ApplyOptions{FieldManager: Manager, Force: true})
		if apierrors.IsNotFound(err) {
			continue
		}
		return err == nil, err
	}
	return false, nil
}

// deleteQuota says whether there was one.
func deleteQuota(ctx context.Context, live dynamic.Interface) (bool, error) {
	for _, version := range quotas {
		err := live.Resource(version).Delete(ctx, QuotaName, metav1.DeleteOptions{})
		if !apierrors.IsNotFound(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// Release takes back everything that was generated, and says what that was.
func Release(ctx context.Context, live dynamic.Interface) (released []string, err error) {
	list, err := live.Resource(nodePools).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		list, err = &unstructured.UnstructuredList{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list NodePools: %w", err)
	}
	for i := range list.Items {
		pool := &list.Items[i]
		if ours, _ := owners(pool); !ours {
			continue
		}
		if failed := applyLimit(ctx, live, pool, nil); failed != nil {
			err = errors.Join(err, fmt.Errorf("take back spec.limits.nodes of NodePool %s: %w", pool.GetName(), failed))
			continue
		}
		released = append(released, "spec.limits.nodes of NodePool "+pool.GetName())
	}
	gone, failed := deleteQuota(ctx, live)
	if failed != nil {
		err = errors.Join(err, fmt.Errorf("delete CapacityQuota %s: %w", QuotaName, failed))
	}
	if gone {
		released = append(released, "CapacityQuota "+QuotaName)
	}
	return released, err
}
