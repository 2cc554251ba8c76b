package handler

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"

	"forewarm.dev/webhook"
)

// horizontal is what a clamp needs to know of a HorizontalPodAutoscaler.
type horizontal struct {
	Metadata *struct {
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec   *bounds `json:"spec"`
	Status struct {
		CurrentReplicas int64 `json:"currentReplicas"`
		DesiredReplicas int64 `json:"desiredReplicas"`
		Conditions      []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
			Reason string `json:"reason"`
		} `json:"conditions"`
	} `json:"status"`
}

// desired is how many its controller wants; one more where it says that it wants more than it may ask for at once. What
// was clamped is charged to its rate, so that it says so soon after.
func (h horizontal) desired() int64 {
	for _, c := range h.Status.Conditions {
		if c.Type == string(autoscalingv2.ScalingLimited) && c.Status == string(corev1.ConditionTrue) && c.Reason == "ScaleUpLimit" {
			return h.Status.DesiredReplicas + 1
		}
	}
	return h.Status.DesiredReplicas
}

// lowered says whether it was brought down.
func (h horizontal) lowered() bool {
	if h.Metadata == nil {
		return false
	}
	_, most := h.Metadata.Annotations[webhook.OriginalMaxReplicas]
	_, least := h.Metadata.Annotations[webhook.OriginalMinReplicas]
	return most || least
}

// bounds are of its spec.
type bounds struct {
	MaxReplicas int64  `json:"maxReplicas"`
	MinReplicas *int64 `json:"minReplicas"`
}

func (b bounds) both() (most, least int64) {
	if b.MinReplicas == nil {
		return b.MaxReplicas, 1
	}
	return b.MaxReplicas, *b.MinReplicas
}

// clamps converts a write of a scale by an autoscaler, or of a HorizontalPodAutoscaler.
func (c converter) clamps(ctx context.Context, r *admissionv1.AdmissionRequest) (converted, error) {
	out := converted{request: webhook.Request{
		Create: r.Operation == admissionv1.Create, Now: c.clock.Now(), Autoscaler: slices.Contains(c.autoscalers, r.UserInfo.Username),
	}, user: r.UserInfo}
	var err error
	switch {
	case r.SubResource == "scale":
		if err = c.scale(ctx, r, &out); err == nil && grows(out.request) && out.request.Autoscaler {
			err = c.leftToScale(ctx, c.kinds.Of(r.Resource), &out)
		}
	case r.SubResource == "" && r.Resource.Resource == "horizontalpodautoscalers":
		err = c.bounds(ctx, r, &out)
	default:
		err = badObject(fmt.Errorf("%s/%s is not clamped", r.Resource.Resource, r.SubResource))
	}
	if err != nil || (out.request.Bounds == nil && !grows(out.request)) {
		return out, err
	}
	return out, c.above(ctx, r.Namespace, &out.request)
}

// bounds converts a write of an HPA. The status is that of the old object: what is written
// as one is not stored. An HPA without metadata or spec, to which no patch applies, is for the
// API server to refuse.
func (c converter) bounds(ctx context.Context, r *admissionv1.AdmissionRequest, out *converted) error {
	var written, old horizontal
	for what, raw := range map[*horizontal][]byte{&written: r.Object.Raw, &old: r.OldObject.Raw} {
		if len(raw) == 0 {
			continue
		}
		if err := json.UnmarshalCaseSensitivePreserveInts(raw, what); err != nil {
			return badObject(fmt.Errorf("decode HorizontalPodAutoscaler: %w", err))
		}
	}
	kind := c.kinds.Of(r.Resource)
	request := &out.request
	request.Object = webhook.Object{Kind: kind.Name, Namespace: r.Namespace, Name: r.Name}
	request.Measure = webhook.Replicas
	if written.Metadata == nil || written.Spec == nil || kind.Target == "" {
		return nil
	}
	request.Standing = old.Status.CurrentReplicas
	most, least := written.Spec.both()
	request.Bounds = &webhook.Bounds{Max: webhook.Bound{Written: most}, Min: webhook.Bound{Written: least}, Annotations: written.Metadata.Annotations}
	if old.Spec != nil {
		request.Bounds.Max.Old, request.Bounds.Min.Old = old.Spec.both()
	}
	if err := c.target(ctx, r, kind, out); err != nil {
		return err
	}
	return c.leftToBounds(ctx, written, old, out)
}
