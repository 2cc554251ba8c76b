package handler

import (
	"context"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/sources"
	"forewarm.dev/webhook/total"
)

// left is up to how many the total of its Namespace lets a workload grow of which so many stand, nil where none is
// known to bind it. It may be a moment behind: what is let in is claimed when the write is validated, by the ledger as
// it stands then.
func (c converter) left(ctx context.Context, kind sources.Kind, workload webhook.Object, stands int64) (*webhook.Left, error) {
	if c.ledgers == nil || len(kind.Counts) == 0 || !kind.Counted() {
		return nil, nil
	}
	o, err := c.namespaces.Get(ctx, workload.Namespace)
	if err != nil {
		return nil, err
	}
	by := c.lastGood.Setting(webhook.Object{Kind: "Namespace", Name: o.Name}, webhook.MaxTotalReplicas, o.UID, o.Annotations)
	if !by.Set {
		return nil, nil
	}
	l, known, err := c.ledgers.Of(ctx, ledger.Holder{Kind: ledger.Namespace, Name: o.Name})
	if err != nil || !known {
		return nil, err
	}
	limit, bound := l.Left(total.Claim{Object: workload, Key: total.KeyOf(kind.Group, kind.Resource, workload.Name), Old: webhook.Amounts{Replicas: stands}}, by)
	if !bound {
		return nil, nil
	}
	return &webhook.Left{Limit: limit, By: by}, nil
}

// leftToScale is left for the workload of a /scale; what a controller answers for does not count itself.
func (c converter) leftToScale(ctx context.Context, kind sources.Kind, out *converted) (err error) {
	if out.controller != nil {
		if _, answers := c.owners.Kind(&out.controller.OwnerReference); answers {
			return nil
		}
	}
	out.request.Left, err = c.left(ctx, kind, out.request.Object, out.request.Counts[0].Old)
	return err
}

// leftToBounds is left for the workload of an HPA that asks for more than that, or did and was brought down. Others
// are not followed, of which there may be many: what is left changes with each growth in their Namespace. The
// replicas that stand are read from the API server, so that nobody is scaled down for what somebody saw before.
func (c converter) leftToBounds(ctx context.Context, written, old horizontal, out *converted) error {
	request := &out.request
	if out.target == nil || out.target.Scaled != "" { // of which a replica is several
		return nil
	}
	left, err := c.left(ctx, *out.target, request.Workload, request.Standing)
	if err != nil || left == nil {
		return err
	}
	_, least := written.Spec.both()
	if max(least, old.desired()) <= left.Limit && !written.lowered() && !old.lowered() {
		return nil
	}
	standing, err := c.owners.Standing(ctx, *out.target, request.Workload)
	if err != nil {
		return err
	}
	request.Standing = max(request.Standing, standing)
	request.Left, err = c.left(ctx, *out.target, request.Workload, standing)
	return err
}
