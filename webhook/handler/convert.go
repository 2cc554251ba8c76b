package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/parts"
	"forewarm.dev/webhook/sources"
)

// converter turns reviews into requests.
type converter struct {
	namespaces *sources.Namespaces
	parents    *sources.Parents
	owners     *sources.Owners
	lastGood   *sources.LastGood
	pools      *sources.Pools
	claims     Claims
	ledgers    Ledgers
	kinds      sources.Kinds
	// autoscalers are users.
	autoscalers []string
	// markClaims has pods that get their GPUs by claims alone marked for the extender.
	markClaims bool
	clock      clock.PassiveClock
}

// converted is a review in terms of the core.
type converted struct {
	request webhook.Request
	// warnings are for the writer, beside those of the decision.
	warnings []string
	// user is who writes.
	user authenticationv1.UserInfo
	// controller is who controls the object, nil where nobody does.
	controller *sources.Controller
	// adopted is true where the object did not say before that controller controls it.
	adopted bool
	// totals is true of a write that may count for the totals of its Namespace, whose mode is mode.
	totals bool
	mode   webhook.Mode
	// pledges are what is claimed of totals if everything else allows the write; dryRun has
	// nothing written for it.
	pledges []pledge
	dryRun  bool
	// target is the kind of the workload that an autoscaler's object points to, nil for every
	// other object.
	target *sources.Kind
}

// ceilings converts a write of a workload, of a scale, or of a Namespace.
func (c converter) ceilings(ctx context.Context, r *admissionv1.AdmissionRequest) (converted, error) {
	out := converted{request: webhook.Request{Create: r.Operation == admissionv1.Create, Now: c.clock.Now()}, user: r.UserInfo}
	var err error
	switch {
	case r.SubResource == "scale":
		err = c.scale(ctx, r, &out)
	case r.Kind.Kind == "Namespace" && r.Kind.Group == "": // or its status, or its finalizers
		err = c.namespace(r, &out)
	case r.SubResource == "status":
		err = c.status(r, &out)
	case r.SubResource != "":
		err = badObject(fmt.Errorf("subresource %q is not reviewed", r.SubResource))
	case r.Resource.Group == webhook.Machines.Group && r.Resource.Resource == webhook.Machines.Resource:
		err = c.machine(ctx, r, &out)
	default:
		err = c.object(ctx, r, &out)
	}
	if err != nil || !grows(out.request) && !widens(out.request) {
		return out, err
	}
	return out, c.above(ctx, r.Namespace, &out.request)
}

// grows says whether any ceiling could matter.
func grows(r webhook.Request) bool {
	for _, change := range r.Counts {
		if change.New > change.Old {
			return true
		}
	}
	return false
}

// namespace converts a write of a Namespace, which has no count of its own.
func (c converter) namespace(r *admissionv1.AdmissionRequest, out *converted) error {
	written, old, err := decodeBoth(r)
	if err != nil {
		return err
	}
	out.request.Object = webhook.Object{Kind: "Namespace", Name: name(r, written)}
	out.request.Rewritten = rewritten(written, old)
	return nil
}

// status converts a write of a status, which may carry annotations too.
func (c converter) status(r *admissionv1.AdmissionRequest, out *converted) error {
	written, old, err := decodeBoth(r)
	if err != nil {
		return err
	}
	out.request.Object = webhook.Object{Kind: c.kinds.Of(r.Resource).Name, Namespace: r.Namespace, Name: name(r, written)}
	out.request.Rewritten = rewritten(written, old)
	return nil
}

// object converts a write of an object whose kind is in the table.
func (c converter) object(ctx context.Context, r *admissionv1.AdmissionRequest, out *converted) error {
	kind, known := c.kinds[metav1.GroupResource{Group: r.Resource.Group, Resource: r.Resource.Resource}]
	if !known {
		return badObject(fmt.Errorf("resource %s of group %q is not in the table of kinds", r.Resource.Resource, r.Resource.Group))
	}
	written, old, err := decodeBoth(r)
	if err != nil {
		return err
	}
	request := &out.request
	request.Object = webhook.Object{Kind: kind.Name, Namespace: r.Namespace, Name: name(r, written)}
	request.Workload, request.Measure = request.Object, kind.Measure
	request.Rewritten = rewritten(written, old)
	if request.Counts, err = changes(kind, r, written, old); err != nil {
		return badObject(err)
	}
	request.Mode = modeOf(kind, written, old, request.Create)
	if request.Instances, err = c.instances(r, kind, written, old); err != nil {
		return badObject(err)
	}
	controller, adopted := controllers(written, old)
	out.controller, out.adopted = c.kinds.Controller(request.Object.Name, controller), adopted
	annotation := kind.Annotation()
	if kind.Target == "" {
		request.Own = c.lastGood.Setting(request.Object, annotation, written.Metadata.UID, written.Metadata.Annotations)
		request.Override = c.lastGood.Setting(request.Object, webhook.CeilingOverride, written.Metadata.UID, written.Metadata.Annotations)
		if !request.Create {
			request.OldOwn = c.lastGood.Setting(request.Object, annotation, old.Metadata.UID, old.Metadata.Annotations)
		}
		if err := c.made(ctx, out); err != nil {
			return err
		}
		return c.minimum(ctx, r, kind, out)
	}
	if !grows(*request) {
		return nil
	}
	return c.target(ctx, r, kind, out)
}

// made adds what binds the object for which a workload is made.
func (c converter) made(ctx context.Context, out *converted) error {
	maker, known := c.maker(out.controller)
	if !known || !grows(out.request) {
		return nil
	}
	request := &out.request
	of := webhook.Object{Kind: maker.Name, Namespace: request.Object.Namespace, Name: out.controller.Name}
	found, err := c.parents.Target(ctx, maker, of)
	if unreadable, ok := errors.AsType[sources.UnreadableError](err); ok {
		out.warnings = append(out.warnings, unlooked(of, maker.Annotation(), unreadable))
		return nil
	}
	if err != nil || found == nil || found.UID != out.controller.UID {
		return err
	}
	request.For = of
	request.Above = append(request.Above, c.lastGood.Setting(of, maker.Annotation(), found.UID, found.Annotations))
	if override := c.lastGood.Setting(of, webhook.CeilingOverride, found.UID, found.Annotations); override.Set && !request.Override.Set {
		request.Override = override
	}
	return nil
}

// maker is the kind of a controller, if objects of it have workloads made.
func (c converter) maker(controller *sources.Controller) (sources.Kind, bool) {
	if controller == nil {
		return sources.Kind{}, false
	}
	gv, err := schema.ParseGroupVersion(controller.APIVersion)
	kind, known := c.kinds.Named(gv.Group, controller.Kind)
	return kind, err == nil && known && kind.Made
}

// controllers are who controls what is written, and whether the object did not say so before.
func controllers(written, old parts.Object) (now *metav1.OwnerReference, adopted bool) {
	of := func(o parts.Object) *metav1.OwnerReference {
		return metav1.GetControllerOfNoCopy(&metav1.ObjectMeta{OwnerReferences: o.Metadata.OwnerReferences})
	}
	now, before := of(written), of(old)
	return now, now != nil && (before == nil || before.UID != now.UID)
}

// modeOf is the mode that the kind, or a node pool's object, says, if any.
func modeOf(kind sources.Kind, written, old parts.Object, create bool) webhook.Mode {
	if kind.Warn {
		return webhook.Warn
	}
	if mode, set := written.Metadata.Annotations[webhook.CeilingMode]; set && kind.Measure == webhook.Nodes {
		return stricter(mode, old, create)
	}
	return ""
}

// stricter is the mode that a node pool's object says, and enforce where it did not say so
// before: lifting a ceiling and passing it takes two writes.
func stricter(mode string, old parts.Object, create bool) webhook.Mode {
	if before, set := old.Metadata.Annotations[webhook.CeilingMode]; !create && (!set || before != mode) {
		return webhook.Enforce
	}
	m, _ := webhook.ParseMode(mode)
	return m
}

// target reads the annotation of the workload that an autoscaler's object points to. One
// that does not exist has none yet.
func (c converter) target(ctx context.Context, r *admissionv1.AdmissionRequest, kind sources.Kind, out *converted) error {
	reference, err := targetOf(kind, r.Object.Raw)
	if err != nil {
		return badObject(err)
	}
	request := &out.request
	request.Workload = webhook.Object{Kind: reference.Kind, Namespace: r.Namespace, Name: reference.Name}
	if out.target, err = c.parents.Kind(c.kinds, reference); err != nil || out.target == nil {
		return err
	}
	workload, err := c.parents.Target(ctx, *out.target, request.Workload)
	if unreadable, ok := errors.AsType[sources.UnreadableError](err); ok {
		out.warnings = append(out.warnings, unlooked(request.Workload, kind.Annotation(), unreadable))
		return nil
	}
	if err != nil || workload == nil {
		return err
	}
	request.Own = c.lastGood.Setting(request.Workload, kind.Annotation(), workload.UID, workload.Annotations)
	request.Override = c.lastGood.Setting(request.Workload, webhook.CeilingOverride, workload.UID, workload.Annotations)
	request.OldOwn = request.Own
	return nil
}

// scale reads the annotation of the parent, which a Scale does not carry. Where Forewarm
// may not read the parent, what binds from above still counts, and the writer is told.
func (c converter) scale(ctx context.Context, r *admissionv1.AdmissionRequest, out *converted) error {
	written, old, err := decodeBoth(r)
	if err != nil {
		return err
	}
	kind := c.kinds.Of(r.Resource)
	request := &out.request
	request.Object = webhook.Object{Kind: kind.Name, Namespace: r.Namespace, Name: name(r, written)}
	request.Workload, request.Measure = request.Object, kind.Measure
	request.Counts = []webhook.Change{{Field: "spec.replicas", New: written.Replicas(0), Old: old.Replicas(0)}}
	if asked, clamped := written.Metadata.Annotations[webhook.ClampedFrom]; clamped {
		request.ClampedFrom, _ = webhook.ParseCeiling(asked)
	}
	if !grows(*request) {
		return nil
	}
	parent, err := c.parents.Get(ctx, r, old)
	if err == nil && kind.Scaled != "" {
		request.Scaled = new(request.Counts[0])
		request.Counts[0], err = c.owners.Scaled(ctx, kind, request.Object, request.Counts[0])
	}
	if unreadable, ok := errors.AsType[sources.UnreadableError](err); ok {
		out.warnings = append(out.warnings, unlooked(request.Object, kind.Annotation(), unreadable))
		return nil
	}
	if err != nil {
		return err
	}
	out.controller = c.kinds.Controller(request.Object.Name, metav1.GetControllerOfNoCopy(parent))
	if mode, set := parent.Annotations[webhook.CeilingMode]; set && kind.Measure == webhook.Nodes {
		request.Mode, _ = webhook.ParseMode(mode)
	}
	request.Own = c.lastGood.Setting(request.Object, kind.Annotation(), parent.UID, parent.Annotations)
	request.Override = c.lastGood.Setting(request.Object, webhook.CeilingOverride, parent.UID, parent.Annotations)
	request.OldOwn = request.Own
	return nil
}

func unlooked(o webhook.Object, annotation string, err sources.UnreadableError) string {
	return fmt.Sprintf("%s: its own annotation %s was not looked at: %v", o, annotation, err)
}

// above reads what binds from above, and the Namespace's mode where the object says none.
func (c converter) above(ctx context.Context, namespace string, request *webhook.Request) error {
	above, mode, err := c.namespaces.Above(ctx, namespace, request.Measure)
	request.Above = append(request.Above, above...)
	if request.Mode == "" {
		request.Mode = mode
	}
	if err != nil {
		return err
	}
	return c.approved(ctx, request)
}

// pods converts the creation of a pod.
func (c converter) pods(ctx context.Context, r *admissionv1.AdmissionRequest) (converted, error) {
	request := webhook.Request{Object: webhook.Object{Kind: "Pod", Namespace: r.Namespace, Name: r.Name}, Create: true}
	if r.Operation != admissionv1.Create || r.SubResource != "" {
		return converted{request: request}, nil
	}
	pod, err := parts.PodOf(r.Object.Raw)
	if err != nil || pod == nil {
		return converted{request: request}, badObject(err)
	}
	request.Pod, request.MarkClaims = pod, c.markClaims
	if request.Claims, err = c.claimed(ctx, r.Namespace, webhook.ClaimsOf(pod)); err != nil {
		return converted{request: request}, err
	}
	if request.Pools, err = c.pools.List(ctx); err != nil || len(request.Pools) == 0 {
		return converted{request: request}, err
	}
	namespace, err := c.namespaces.Get(ctx, r.Namespace)
	if err != nil {
		return converted{}, err
	}
	request.NamespaceLabels = namespace.Labels
	return converted{request: request}, nil
}

// claimed is what claim sources ask for.
func (c converter) claimed(ctx context.Context, namespace string, refs []webhook.ClaimRef) (webhook.Claims, error) {
	if len(refs) == 0 || c.claims == nil {
		return nil, nil
	}
	return c.claims.Of(ctx, namespace, refs)
}

// decodeBoth reads what is written and what was there.
func decodeBoth(r *admissionv1.AdmissionRequest) (written, old parts.Object, err error) {
	if written, err = parts.ObjectOf(r.Object.Raw, "object"); err != nil {
		return written, old, badObject(err)
	}
	old, err = parts.ObjectOf(r.OldObject.Raw, "oldObject")
	return written, old, badObject(err)
}

// badObject is nil for no error.
func badObject(err error) error {
	if err == nil {
		return nil
	}
	return refusal{http.StatusBadRequest, "BadRequest", err}
}

// name is empty in the review of a create that leaves the name to the server.
func name(r *admissionv1.AdmissionRequest, written parts.Object) string {
	if r.Name != "" {
		return r.Name
	}
	return written.Metadata.Name
}

// rewritten are the annotations of ours that a write sets, changes or removes.
func rewritten(written, old parts.Object) map[string]webhook.Rewrite {
	var out map[string]webhook.Rewrite
	for _, annotation := range webhook.Written() {
		was, had := old.Metadata.Annotations[annotation]
		is, has := written.Metadata.Annotations[annotation]
		if had == has && was == is {
			continue
		}
		if out == nil {
			out = map[string]webhook.Rewrite{}
		}
		var w webhook.Rewrite
		if had {
			w.Old = new(was)
		}
		if has {
			w.New = new(is)
		}
		out[annotation] = w
	}
	return out
}
