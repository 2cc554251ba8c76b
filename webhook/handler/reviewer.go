package handler

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/sources"
)

// Reviewer decides as the handlers do where nobody sent a review: about objects that stand, and
// numbers that somebody thinks of.
type Reviewer struct {
	server
	converter converter
}

// NewReviewer makes a reviewer.
func NewReviewer(o Options) *Reviewer {
	return &Reviewer{server{chain: webhook.Ceilings(), owners: o.Owners}, o.converter()}
}

// Look is an object and what bears on it.
type Look struct {
	// Request may be changed before it is decided about.
	Request webhook.Request
	of      converted
}

// Look looks at an object as if it were created as it stands.
func (r *Reviewer) Look(ctx context.Context, review *admissionv1.AdmissionRequest) (Look, error) {
	c, err := r.converter.stands(ctx, review)
	return Look{c.request, c}, err
}

// Decide decides about the request of a look.
func (r *Reviewer) Decide(ctx context.Context, l Look) (webhook.Decision, error) {
	l.of.request = l.Request
	return r.decide(ctx, l.of)
}

// Counted says whether the controller of what was looked at is counted for totals in its place.
func (r *Reviewer) Counted(ctx context.Context, l Look) (bool, error) {
	l.of.request = l.Request
	return r.counted(ctx, l.of)
}

// Clamp decides what an HPA, or a scale by an autoscaler, is given.
func (r *Reviewer) Clamp(ctx context.Context, review *admissionv1.AdmissionRequest) (webhook.Decision, error) {
	c, err := r.converter.clamps(ctx, review)
	if err != nil {
		return webhook.Decision{}, err
	}
	clamps := r.server
	clamps.chain = webhook.Clamps()
	return clamps.decide(ctx, c)
}

// stands reads all that bears on an object that stands, whether it grows or not.
func (c converter) stands(ctx context.Context, r *admissionv1.AdmissionRequest) (converted, error) {
	kind, known := c.kinds[metav1.GroupResource{Group: r.Resource.Group, Resource: r.Resource.Resource}]
	if !known { // it can only grow by /scale
		kind = c.kinds.Of(r.Resource)
		kind.Counts, kind.Plain = webhook.Kinds()[0].Counts, true
		c.kinds = sources.Kinds{metav1.GroupResource{Group: r.Resource.Group, Resource: r.Resource.Resource}: kind}
	}
	out := converted{request: webhook.Request{Create: true, Now: c.clock.Now()}}
	if err := c.object(ctx, r, &out); err != nil {
		return out, err
	}
	if kind.Target != "" && !grows(out.request) {
		if err := c.target(ctx, r, kind, &out); err != nil {
			return out, err
		}
	}
	out.request.Create, out.request.Rewritten, out.request.OldOwn = false, nil, out.request.Own
	err := c.above(ctx, r.Namespace, &out.request)
	if i := out.request.Instances; i != nil {
		i.Old = i.New
	}
	return out, err
}
