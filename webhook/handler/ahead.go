package handler

import (
	"context"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// Raised is told of a write that was let in and loosens what a workload says of its own ceiling.
type Raised func(ctx context.Context, namespace, workload string, written map[string]webhook.Rewrite) error

// patience is how long a raise waits for it to be told.
const patience = 500 * time.Millisecond

// tell tells of a raise before it is answered. That it could not is no reason to refuse it: it is
// followed when it is stored.
func (s server) tell(ctx context.Context, r *admissionv1.AdmissionRequest, c converted) {
	if s.raised == nil || !raises(c.request.Rewritten) || !ofWorkload(r) || r.DryRun != nil && *r.DryRun {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.raised(ctx, r.Namespace, string(total.KeyOf(r.Resource.Group, r.Resource.Resource, r.Name)), c.request.Rewritten); err != nil {
		s.log.V(1).Info("A raise is followed later", "object", c.request.Object.String(), "reason", err.Error())
	}
}

// ofWorkload says whether an object in a namespace is changed itself.
func ofWorkload(r *admissionv1.AdmissionRequest) bool {
	return r.Operation == admissionv1.Update && r.SubResource == "" && r.Namespace != ""
}

// raises says whether what a workload says of its own ceiling is loosened.
func raises(written map[string]webhook.Rewrite) bool {
	for _, annotation := range []string{webhook.MaxReplicas, webhook.CeilingOverride} {
		if w, is := written[annotation]; is && webhook.Loosens(annotation, w) {
			return true
		}
	}
	return false
}
