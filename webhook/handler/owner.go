package handler

import (
	"context"
	"fmt"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/sources"
	"forewarm.dev/webhook/total"
)

// owner is the controller of what is written, nil where none answers for it, or where it is not the
// writer's to say so.
func (s server) owner(ctx context.Context, c converted) (*webhook.Owner, error) {
	if believed, err := s.believed(ctx, c); !believed || err != nil {
		return nil, err
	}
	return s.owners.Get(ctx, c.request.Object.Namespace, c.controller)
}

// believed says whether what is written is controlled by what it names. Of what stands, which nobody
// writes, that was settled when it was written.
func (s server) believed(ctx context.Context, c converted) (bool, error) {
	if c.controller == nil {
		return false, nil
	}
	kind, answers := s.owners.Kind(&c.controller.OwnerReference)
	if !answers || s.access == nil || c.rollsOut(kind) {
		return answers, nil
	}
	return s.access.MayControl(ctx, c.user, kind, c.request.Object.Namespace, c.controller.Name)
}

// rollsOut says whether what stands is scaled by a rollout of its controller, which runs as a ServiceAccount
// of the namespace. Whoever else acts as that makes nothing larger than the controller is, which puts it right
// when the rollout is over.
func (c converted) rollsOut(kind sources.Kind) bool {
	return kind.Deployer != "" && !c.adopted && c.user.Username == "system:serviceaccount:"+c.request.Object.Namespace+":"+kind.Deployer
}

// counted says whether an object's controller is counted in its place: one of a kind that only bounds
// others is not.
func (s server) counted(ctx context.Context, c converted) (bool, error) {
	if !s.countsFor(c) {
		return false, nil
	}
	owner, err := s.owner(ctx, c)
	return owner != nil && within(c.request, owner.Bound), err
}

// countsFor says whether what an object names as its controller is of a kind that counts for totals in
// its place.
func (s server) countsFor(c converted) bool {
	if c.controller == nil {
		return false
	}
	kind, answers := s.owners.Kind(&c.controller.OwnerReference)
	return answers && kind.Counted()
}

// unproven refuses what says that another is counted in its place, where no controller says so: from
// then on it would count for nothing. What is a group of another by its name does count for what that does
// not count of it, whoever has made it.
func (s server) unproven(ctx context.Context, c converted, d webhook.Decision) (webhook.Decision, error) {
	if !c.totals || !c.adopted || !s.countsFor(c) || c.controller.Group != nil {
		return d, nil
	}
	believed, err := s.believed(ctx, c)
	if err != nil || believed {
		return d, err
	}
	d.Exceed(c.mode, total.ReasonUnprovenOwner, fmt.Sprintf(
		"%s: it says that %s %s controls it, which would be counted for the totals of Namespace %s in its place, and only a controller may say so; leave controller: true out of metadata.ownerReferences",
		c.request.Object, c.controller.Kind, c.controller.Name, c.request.Object.Namespace))
	return d, nil
}

// claims says whether a write has something to do with totals that the ceilings do not settle.
func (c converted) claims() bool { return len(c.pledges) > 0 || c.totals && c.adopted }

func within(r webhook.Request, bound int64) bool {
	for _, change := range r.Counts {
		if change.New > bound {
			return false
		}
	}
	return true
}
