package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/webhook"
)

// converter turns reviews into requests.
type converter struct {
	namespaces *Namespaces
	parents    *Parents
	lastGood   *LastGood
	pools      *Pools
}

// ceilings converts a write of a workload, of a scale, or of a Namespace. The strings are
// further warnings to the writer.
func (c converter) ceilings(ctx context.Context, r *admissionv1.AdmissionRequest) (webhook.Request, []string, error) {
	written, err := decodeObject(r.Object.Raw, "object")
	if err != nil {
		return webhook.Request{}, nil, badObject(err)
	}
	old, err := decodeObject(r.OldObject.Raw, "oldObject")
	if err != nil {
		return webhook.Request{}, nil, badObject(err)
	}
	request := webhook.Request{
		Object: webhook.Object{Kind: r.Kind.Kind, Namespace: r.Namespace, Name: name(r, written)},
		Create: r.Operation == admissionv1.Create,
	}
	var warnings []string
	switch {
	case r.SubResource == "scale":
		warnings, err = c.scale(ctx, r, &request, [2]object{written, old})
	case r.SubResource != "":
		err = badObject(fmt.Errorf("subresource %q is not reviewed", r.SubResource))
	case r.Kind.Kind == "Namespace" && r.Kind.Group == "":
		request.Object.Namespace = "" // the review gives the Namespace's own name there
		c.own(&request, written, old)
	default:
		c.own(&request, written, old)
		c.workload(r, &request, [2]object{written, old})
	}
	if err == nil && request.Replicas > request.OldReplicas && !request.Owned {
		request.Above, err = c.namespaces.ceilings(ctx, r.Namespace)
	}
	return request, warnings, err
}

// workload reads the numbers of a workload, whose absent replicas mean one.
func (c converter) workload(r *admissionv1.AdmissionRequest, request *webhook.Request, objects [2]object) {
	request.Replicas = objects[0].replicas(1)
	if !request.Create {
		request.OldReplicas = objects[1].replicas(1)
	}
	request.Owned = ownable(r.Resource) && controlled(objects[0].Metadata.OwnerReferences)
}

// own reads the annotation on the object itself.
func (c converter) own(request *webhook.Request, written, old object) {
	request.Own = c.lastGood.setting(request.Object, written.Metadata.UID, written.Metadata.Annotations)
	if !request.Create {
		request.OldOwn = c.lastGood.setting(request.Object, old.Metadata.UID, old.Metadata.Annotations)
	}
}

// scale reads the annotation of the parent, which a Scale does not carry. Where Forewarm
// may not read the parent, what binds from above still counts, and the writer is told.
func (c converter) scale(ctx context.Context, r *admissionv1.AdmissionRequest, request *webhook.Request, scales [2]object) ([]string, error) {
	request.Replicas, request.OldReplicas = scales[0].replicas(0), scales[1].replicas(0)
	request.Object.Kind = kind(r.Resource)
	if request.Replicas <= request.OldReplicas {
		return nil, nil
	}
	parent, err := c.parents.get(ctx, r, scales[1])
	if unreadable, ok := errors.AsType[unreadableError](err); ok {
		return []string{fmt.Sprintf("%s: its own annotation %s was not looked at: %v", request.Object, webhook.MaxReplicas, unreadable)}, nil
	}
	if err != nil {
		return nil, err
	}
	request.Owned = ownable(r.Resource) && controlled(parent.OwnerReferences)
	request.Own = c.lastGood.setting(request.Object, parent.UID, parent.Annotations)
	request.OldOwn = request.Own
	return nil, nil
}

// pods converts the creation of a pod.
func (c converter) pods(ctx context.Context, r *admissionv1.AdmissionRequest) (webhook.Request, []string, error) {
	request := webhook.Request{Object: webhook.Object{Kind: "Pod", Namespace: r.Namespace, Name: r.Name}, Create: true}
	if r.Operation != admissionv1.Create || r.SubResource != "" {
		return request, nil, nil
	}
	pod, err := decodePod(r.Object.Raw)
	if err != nil || pod == nil {
		return request, nil, badObject(err)
	}
	request.Pod = pod
	if request.Pools, err = c.pools.list(ctx); err != nil || len(request.Pools) == 0 {
		return request, nil, err
	}
	namespace, err := c.namespaces.get(ctx, r.Namespace)
	if err != nil {
		return request, nil, err
	}
	request.NamespaceLabels = namespace.Labels
	return request, nil, nil
}

// badObject is nil for no error.
func badObject(err error) error {
	if err == nil {
		return nil
	}
	return refusal{http.StatusBadRequest, "BadRequest", err}
}

// name is empty in the review of a create that leaves the name to the server.
func name(r *admissionv1.AdmissionRequest, written object) string {
	if r.Name != "" {
		return r.Name
	}
	return written.Metadata.Name
}

// ownable are the kinds whose controller is itself held to the ceiling.
func ownable(r metav1.GroupVersionResource) bool {
	return (r.Group == "apps" && r.Resource == "replicasets") || (r.Group == "" && r.Resource == "replicationcontrollers")
}

// kind names the parent of a Scale, whose kind the review does not carry.
func kind(r metav1.GroupVersionResource) string {
	switch {
	case r.Group == "apps" && r.Resource == "deployments":
		return "Deployment"
	case r.Group == "apps" && r.Resource == "statefulsets":
		return "StatefulSet"
	case r.Group == "apps" && r.Resource == "replicasets":
		return "ReplicaSet"
	case r.Group == "" && r.Resource == "replicationcontrollers":
		return "ReplicationController"
	case r.Group == "":
		return r.Resource
	default:
		return r.Resource + "." + r.Group
	}
}
