package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/sources"
)

// judgedBy is how many nodes of a pool are looked at to tell how large they are.
const judgedBy = 50

// minimum makes a count of the nodes that the chunks of a WarmPool need at least for their min,
// where max-nodes binds it: its own, that of the one NodePool that it selects, or the cluster's.
func (c converter) minimum(ctx context.Context, r *admissionv1.AdmissionRequest, kind sources.Kind, out *converted) error {
	if !kind.Keeps {
		return nil
	}
	after, before, err := decodePools(r)
	if err != nil {
		return badObject(err)
	}
	if !slices.ContainsFunc(keptBy(after), func(k webhook.Kept) bool { return k.Min > 0 }) {
		return nil
	}
	return c.keep(ctx, before, after, out)
}

// keep is minimum for a WarmPool that keeps something.
func (c converter) keep(ctx context.Context, before, after v1alpha1.WarmPool, out *converted) error {
	request, now, was := &out.request, keptBy(after), keptBy(before)
	if err := c.selectedPool(ctx, &after.Spec.Nodes.Selector, request); err != nil {
		return err
	}
	cluster, _, err := c.namespaces.Above(ctx, "", webhook.Nodes)
	if err != nil || !bounded(append(append(cluster, request.Above...), request.Own, request.OldOwn)) {
		return err
	}
	sizes, err := c.sizes(ctx, &after.Spec.Nodes.Selector)
	if err != nil {
		return err
	}
	change := webhook.Change{Field: webhook.MinField, New: webhook.LeastNodes(now, sizes)}
	switch from, to := &before.Spec.Nodes.Selector, &after.Spec.Nodes.Selector; {
	case equality.Semantic.DeepEqual(from, to):
		change.Old = webhook.LeastNodes(was, sizes)
	case len(request.Above) > 0 && onePool(from) != onePool(to): // of this NodePool nothing was asked
	default:
		change.Old, err = c.least(ctx, was, from)
	}
	if err != nil {
		return err
	}
	request.Counts = []webhook.Change{change}
	if len(sizes) == 0 {
		judged := *request
		judged.Above = append(slices.Clone(request.Above), cluster...)
		if warning := webhook.Unjudged(judged, now); warning != "" {
			out.warnings = append(out.warnings, warning)
		}
	}
	return nil
}

// least is how many nodes that a selector matches all that is kept needs.
func (c converter) least(ctx context.Context, kept []webhook.Kept, of *metav1.LabelSelector) (int64, error) {
	if len(kept) == 0 {
		return 0, nil
	}
	sizes, err := c.sizes(ctx, of)
	return webhook.LeastNodes(kept, sizes), err
}

func bounded(settings []webhook.Setting) bool {
	return slices.ContainsFunc(settings, func(s webhook.Setting) bool { return s.Set })
}

// decodePools reads a WarmPool as written and as it was.
func decodePools(r *admissionv1.AdmissionRequest) (after, before v1alpha1.WarmPool, err error) {
	if err := json.Unmarshal(r.Object.Raw, &after); err != nil {
		return after, before, fmt.Errorf("decode object: %w", err)
	}
	if r.Operation == admissionv1.Create {
		return after, before, nil
	}
	if err := json.Unmarshal(r.OldObject.Raw, &before); err != nil {
		return after, before, fmt.Errorf("decode oldObject: %w", err)
	}
	return after, before, nil
}

func keptBy(pool v1alpha1.WarmPool) []webhook.Kept {
	var out []webhook.Kept
	for _, chunk := range pool.Spec.Chunks {
		out = append(out, webhook.Kept{Requests: quantity.Of(chunk.Requests), Min: int64(chunk.Min)})
	}
	return out
}

// onePool is the NodePool that a selector names, empty where it does not name just one.
func onePool(selector *metav1.LabelSelector) string {
	name := selector.MatchLabels[webhook.NodePoolOf]
	for _, e := range selector.MatchExpressions {
		if names := sets.New(e.Values...); e.Key == webhook.NodePoolOf && e.Operator == metav1.LabelSelectorOpIn && names.Len() == 1 {
			name = e.Values[0]
		}
	}
	return name
}

// selectedPool has the ceiling of the NodePool bind that a selector names, where it names just one.
func (c converter) selectedPool(ctx context.Context, selector *metav1.LabelSelector, request *webhook.Request) error {
	name := onePool(selector)
	if name == "" {
		return nil
	}
	o, err := c.namespaces.Live.Resource(sources.NodePools).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get NodePool %s: %w", name, err)
	}
	if s := c.lastGood.Setting(webhook.Object{Kind: "NodePool", Name: o.Name}, webhook.MaxNodes, o.UID, o.Annotations); s.Set {
		request.Above = append(request.Above, s)
	}
	return nil
}

// sizes are what some of the nodes that a selector matches have for pods.
func (c converter) sizes(ctx context.Context, of *metav1.LabelSelector) ([]quantity.Vector, error) {
	selector, err := metav1.LabelSelectorAsSelector(of)
	if err != nil {
		return nil, badObject(fmt.Errorf("spec.nodes.selector: %w", err))
	}
	list, err := c.owners.Live.Resource(sources.Nodes).List(ctx, metav1.ListOptions{LabelSelector: selector.String(), Limit: judgedBy})
	if err != nil {
		return nil, fmt.Errorf("list nodes of %s: %w", selector, err)
	}
	var out []quantity.Vector
	for i := range list.Items {
		var node corev1.Node
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &node); err != nil {
			return nil, fmt.Errorf("read node %s: %w", list.Items[i].GetName(), err)
		}
		if len(node.Status.Allocatable) > 0 {
			out = append(out, quantity.Of(node.Status.Allocatable))
		}
	}
	return out, nil
}
