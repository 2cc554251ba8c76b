package handler

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"

	"forewarm.dev/webhook"
)

// machine converts a Machine that somebody makes by hand: with it, the Machines of its Cluster are
// held to what bounds the Cluster. One that a controller asks for is not counted here, since the
// controller is held. The count is a live one and nothing is claimed, so that several Machines made
// at the same moment may pass together.
func (c converter) machine(ctx context.Context, r *admissionv1.AdmissionRequest, out *converted) error {
	var written metav1.PartialObjectMetadata
	if err := json.UnmarshalCaseSensitivePreserveInts(r.Object.Raw, &written); err != nil {
		return badObject(fmt.Errorf("decode object: %w", err))
	}
	request := &out.request
	request.Object = webhook.Object{Kind: webhook.Machines.Name, Namespace: r.Namespace, Name: r.Name}
	if request.Object.Name == "" {
		request.Object.Name = written.Name
	}
	cluster := written.Labels[webhook.ClusterOfMachine]
	if !request.Create || cluster == "" || metav1.GetControllerOfNoCopy(&written) != nil {
		return nil
	}
	request.Workload, request.Measure = webhook.Object{Kind: "Cluster", Namespace: r.Namespace, Name: cluster}, webhook.Machines.Measure
	if err := c.clusterOf(ctx, r, request); err != nil {
		return err
	}
	n, err := c.standing(ctx, r, cluster)
	request.Counts = []webhook.Change{{Field: fmt.Sprintf("the Machines of %s with this one", request.Workload), New: n + 1, Old: n}}
	return err
}

// clusterOf reads what the Cluster of a Machine says. One that is still to be made says nothing.
func (c converter) clusterOf(ctx context.Context, r *admissionv1.AdmissionRequest, request *webhook.Request) error {
	on := request.Workload
	o, err := c.namespaces.Live.Resource(resourceBeside(r, "clusters")).Namespace(on.Namespace).Get(ctx, on.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get %s: %w", on, err)
	}
	if mode, set := o.Annotations[webhook.CeilingMode]; set {
		request.Mode, _ = webhook.ParseMode(mode)
	}
	request.Own = c.lastGood.Setting(on, webhook.MaxNodes, o.UID, o.Annotations)
	request.Override = c.lastGood.Setting(on, webhook.CeilingOverride, o.UID, o.Annotations)
	return nil
}

// standing is how many Machines a Cluster has, those that controllers made too. As of NodeClaims,
// what is being deleted does not count.
func (c converter) standing(ctx context.Context, r *admissionv1.AdmissionRequest, cluster string) (int64, error) {
	list, err := c.namespaces.Live.Resource(resourceBeside(r, webhook.Machines.Resource)).Namespace(r.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: labels.Set{webhook.ClusterOfMachine: cluster}.String()})
	if err != nil {
		return 0, fmt.Errorf("list the Machines of Cluster %s/%s: %w", r.Namespace, cluster, err)
	}
	n := int64(0)
	for _, o := range list.Items {
		if o.DeletionTimestamp == nil {
			n++
		}
	}
	return n, nil
}

// resourceBeside is a resource in the group and version under review, which the server has.
func resourceBeside(r *admissionv1.AdmissionRequest, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.Resource.Group, Version: r.Resource.Version, Resource: resource}
}
