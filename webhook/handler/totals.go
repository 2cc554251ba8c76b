package handler

import (
	"context"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/internal/tracing"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/parts"
	"forewarm.dev/webhook/sources"
	"forewarm.dev/webhook/total"
)

// pledge is a claim on the totals of a holder.
type pledge struct {
	holder ledger.Holder
	claim  total.Claim
}

// totals converts a growth of what counts: it is reviewed as on the path of the ceilings, since
// what another entry refuses must not be claimed, and claims what it asks for.
func (c converter) totals(ctx context.Context, r *admissionv1.AdmissionRequest) (converted, error) {
	if r.Resource.Group == webhook.NodeClaims.Group && r.Resource.Resource == webhook.NodeClaims.Resource {
		return c.nodeClaim(ctx, r)
	}
	kind, known := c.kinds[metav1.GroupResource{Group: r.Resource.Group, Resource: r.Resource.Resource}]
	if !known || !kind.Counted() {
		return converted{request: webhook.Request{Object: webhook.Object{Kind: c.kinds.Of(r.Resource).Name, Namespace: r.Namespace, Name: r.Name}}}, nil
	}
	out, err := c.ceilings(ctx, r)
	if err != nil {
		return out, err
	}
	namespace, err := c.namespaces.Get(ctx, r.Namespace)
	if err != nil {
		return out, err
	}
	on := webhook.Object{Kind: "Namespace", Name: r.Namespace}
	out.totals = true
	out.mode, _ = webhook.ParseMode(namespace.Annotations[webhook.CeilingMode])
	claim := total.Claim{
		Object: out.request.Object, Mode: out.mode, Now: c.now(),
		Totals: []webhook.Setting{
			c.lastGood.Setting(on, webhook.MaxTotalReplicas, namespace.UID, namespace.Annotations),
			c.lastGood.Setting(on, webhook.MaxGPUs, namespace.UID, namespace.Annotations),
		},
	}
	if claim.Object.Name == "" {
		return out, badObject(fmt.Errorf("%s has no name, by which it could be counted", claim.Object.Kind))
	}
	claim.Key = total.KeyOf(kind.Group, kind.Resource, claim.Object.Name)
	if err := c.amounts(ctx, r, kind, &claim); err != nil {
		return out, err
	}
	out.dryRun = r.DryRun != nil && *r.DryRun
	if claim.Grows() {
		out.pledges = []pledge{{ledger.Holder{Kind: ledger.Namespace, Name: r.Namespace}, claim}}
	}
	return out, nil
}

// now is as precise as a ledger keeps it.
func (c converter) now() time.Time { return c.clock.Now().UTC().Truncate(time.Microsecond) }

// amounts are what the object counts for before and after the write.
func (c converter) amounts(ctx context.Context, r *admissionv1.AdmissionRequest, kind sources.Kind, claim *total.Claim) error {
	if r.SubResource == "scale" {
		return c.scaled(ctx, r, kind, claim)
	}
	written, err := parts.Any(r.Object.Raw, "object")
	if err != nil {
		return badObject(err)
	}
	if claim.New, err = c.asked(ctx, kind, written, claim); err != nil || r.Operation == admissionv1.Create {
		return err
	}
	old, err := parts.Any(r.OldObject.Raw, "oldObject")
	if err != nil {
		return badObject(err)
	}
	claim.Version, _ = expression.Text(old, "metadata.resourceVersion")
	claim.Old, err = c.asked(ctx, kind, old, claim)
	return err
}

// asked is what an object asks for, with what its pods claim. Where GPUs are not bound, nobody is asked for a
// template that stands elsewhere.
func (c converter) asked(ctx context.Context, kind sources.Kind, object any, claim *total.Claim) (webhook.Amounts, error) {
	ask, namespace := kind.Ask(object), claim.Object.Namespace
	if ask.Template.Name != "" && claim.Totals[1].Set {
		var err error
		if ask, err = c.owners.Ask(ctx, kind, namespace, object); err != nil {
			return webhook.Amounts{}, err
		}
	}
	claims, err := c.claimed(ctx, namespace, ask.Claims())
	return ask.With(claims), err
}

// scaled are the amounts of the parent of a scale. Where its replicas are all that counts, the
// Scale tells them, else the parent is read. If it has changed since the Scale was, the write is
// going to be reviewed again.
func (c converter) scaled(ctx context.Context, r *admissionv1.AdmissionRequest, kind sources.Kind, claim *total.Claim) error {
	written, old, err := decodeBoth(r)
	if err != nil {
		return err
	}
	claim.Version = old.Metadata.ResourceVersion
	claim.Old.Replicas, claim.New.Replicas = old.Replicas(0), written.Replicas(0)
	if kind.Plain && !claim.Totals[1].Set {
		return nil
	}
	parent, err := c.owners.Read(ctx, kind, r.Namespace, r.Name)
	if apierrors.IsNotFound(err) {
		return nil // and so the write fails
	}
	if err != nil {
		return fmt.Errorf("get the parent of scale %s: %w", claim.Object, err)
	}
	field := strings.Split(kind.Scaled, ".")
	if kind.Scaled == "" {
		field = []string{"spec", "replicas"}
	}
	for amounts, replicas := range map[*webhook.Amounts]int64{&claim.Old: old.Replicas(0), &claim.New: written.Replicas(0)} {
		if err := unstructured.SetNestedField(parent.Object, replicas, field...); err != nil {
			return fmt.Errorf("scale %s: %w", claim.Object, err)
		}
		if *amounts, err = c.asked(ctx, kind, parent.Object, claim); err != nil {
			return err
		}
	}
	return nil
}

// nodeClaim converts a node that Karpenter asks for: it counts for its NodePool and for the
// cluster.
func (c converter) nodeClaim(ctx context.Context, r *admissionv1.AdmissionRequest) (converted, error) {
	out := converted{request: webhook.Request{Object: webhook.Object{Kind: webhook.NodeClaims.Name, Name: r.Name}, Create: true}, dryRun: r.DryRun != nil && *r.DryRun}
	written, err := parts.Any(r.Object.Raw, "object")
	if err != nil || r.Operation != admissionv1.Create {
		return out, badObject(err)
	}
	if out.request.Object.Name == "" {
		out.request.Object.Name, _ = expression.Text(written, "metadata.name")
	}
	out.request.Instances = &webhook.Instances{New: webhook.NodeClaims.Instances.Of(written)}
	if pool := poolOf(written); pool != "" {
		o, err := c.namespaces.Live.Resource(sources.NodePools).Get(ctx, pool, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return out, fmt.Errorf("get NodePool %s: %w", pool, err)
		}
		if err == nil {
			on := webhook.Object{Kind: "NodePool", Name: pool}
			c.node(&out, ledger.Holder{Kind: ledger.NodePool, Name: pool}, on, o)
			out.request.Mode, _ = webhook.ParseMode(o.Annotations[webhook.CeilingMode])
			out.request.Instances.Lists = append(out.request.Instances.Lists, c.lastGood.Setting(on, webhook.AllowedInstanceTypes, o.UID, o.Annotations))
		}
	}
	system, err := c.namespaces.Get(ctx, metav1.NamespaceSystem)
	if err != nil {
		return out, err
	}
	c.node(&out, ledger.Holder{Kind: ledger.Cluster}, webhook.Object{Kind: "Namespace", Name: metav1.NamespaceSystem}, system)
	cluster, err := c.namespaces.Instances(ctx)
	out.request.Instances.Lists = append(out.request.Instances.Lists, cluster)
	return out, err
}

// node claims one node of a holder that bounds them.
func (c converter) node(out *converted, holder ledger.Holder, on webhook.Object, o *metav1.PartialObjectMetadata) {
	most := c.lastGood.Setting(on, webhook.MaxNodes, o.UID, o.Annotations)
	if !most.Set {
		return
	}
	mode, _ := webhook.ParseMode(o.Annotations[webhook.CeilingMode])
	out.pledges = append(out.pledges, pledge{holder, total.Claim{
		Object: out.request.Object, Key: total.KeyOf(webhook.NodeClaims.Group, webhook.NodeClaims.Resource, out.request.Object.Name),
		New: webhook.Amounts{Nodes: 1}, Totals: []webhook.Setting{most}, Mode: mode, Now: c.now(),
	}})
}

// poolOf is the NodePool that a NodeClaim's label names.
func poolOf(claim any) string {
	o, _ := claim.(map[string]any)
	pool, _, _ := unstructured.NestedString(o, "metadata", "labels", webhook.NodePoolOf)
	return pool
}

// claim makes the claims of a review that everything else allows. Where a later one is refused,
// the earlier ones are taken back.
func (s server) claim(ctx context.Context, c converted, allowed webhook.Decision) (webhook.Decision, error) {
	ctx, step := tracing.Step(ctx, "claim")
	defer step.End()
	if replaced, err := s.counted(ctx, c); replaced || err != nil {
		return allowed, err
	}
	decision, err := s.unproven(ctx, c, allowed)
	if err != nil || decision.Reason == total.ReasonUnprovenOwner || len(c.pledges) == 0 {
		return decision, err // what is let through all the same counts for nothing
	}
	for i, d := range c.pledges {
		decision, err = s.book.Claim(ctx, d.holder, d.claim, c.dryRun)
		if err == nil && decision.Verdict == webhook.Allow {
			continue
		}
		s.release(ctx, c.pledges[:i], c.dryRun)
		return decision, err
	}
	decision.Warnings = append(decision.Warnings, allowed.Warnings...)
	if decision.Audit == nil {
		decision.Audit = allowed.Audit
	}
	return decision, nil
}

// release takes claims back; what fails is given back later.
func (s server) release(ctx context.Context, pledges []pledge, dry bool) {
	if dry {
		return
	}
	for _, made := range pledges {
		if err := s.book.Release(ctx, made.holder, made.claim.Key, made.claim.Now); err != nil {
			s.log.V(1).Info("A claim is given back later", "holder", made.holder.String(), "reason", err.Error())
		}
	}
}
