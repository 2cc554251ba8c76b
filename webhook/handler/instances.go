package handler

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/parts"
	"forewarm.dev/webhook/sources"
)

// instances are the instance types of a node pool's object before and after a write, with its
// own list before and after; nil of other kinds.
func (c converter) instances(r *admissionv1.AdmissionRequest, kind sources.Kind, written, old parts.Object) (*webhook.Instances, error) {
	if kind.Instances == nil {
		return nil, nil
	}
	after, err := parts.Any(r.Object.Raw, "object")
	if err != nil {
		return nil, err
	}
	on := webhook.Object{Kind: kind.Name, Name: name(r, written)}
	out := &webhook.Instances{
		New:   kind.Instances.Of(after),
		Lists: []webhook.Setting{c.lastGood.Setting(on, webhook.AllowedInstanceTypes, written.Metadata.UID, written.Metadata.Annotations)},
	}
	if r.Operation == admissionv1.Create {
		return out, nil
	}
	before, err := parts.Any(r.OldObject.Raw, "oldObject")
	if err != nil {
		return nil, err
	}
	out.Old = kind.Instances.Of(before)
	out.Lists = append(out.Lists, c.lastGood.Setting(on, webhook.AllowedInstanceTypes, old.Metadata.UID, old.Metadata.Annotations))
	return out, nil
}

// widens says whether any list of approved instance types could matter.
func widens(r webhook.Request) bool {
	return r.Instances != nil && len(r.Instances.Widened()) > 0
}

// approved adds the cluster's list to an object that asks for nodes itself.
func (c converter) approved(ctx context.Context, request *webhook.Request) error {
	if request.Instances == nil {
		return nil
	}
	kind, _ := c.kinds.Named(webhook.NodeClaims.Group, request.Object.Kind)
	if kind.Instances == nil || !kind.Instances.Asks {
		return nil
	}
	list, err := c.namespaces.Instances(ctx)
	request.Instances.Lists = append(request.Instances.Lists, list)
	return err
}
