package handler

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook"
)

// Explainer tells what the webhook would say of an object, by the same code. It reads all of
// it from the API server, and knows no last good values.
type Explainer struct {
	server
	converter converter
	kinds     kinds
	objects   dynamic.Interface
	client    client.Client
}

// Explanation is what holds of an object.
type Explanation struct {
	// Request has what the object asks for and every annotation that bears on it.
	Request webhook.Request
	// Limit is the effective ceiling, and By what sets it, where Bound.
	Limit int64
	By    webhook.Setting
	Bound bool
	// Decision is the verdict about the number that was asked about.
	Decision webhook.Decision
}

// NewExplainer makes an explainer for whom the configuration is.
func NewExplainer(config *rest.Config, table []webhook.Kind) (*Explainer, error) {
	reader, err := client.New(config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("reach the API server at %s: %w", config.Host, err)
	}
	live, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	lastGood := NewLastGood()
	return &Explainer{
		server: server{chain: webhook.Ceilings(), owners: NewOwners(objects, table, logr.Discard())},
		converter: converter{
			owners:     NewOwners(objects, table, logr.Discard()),
			namespaces: NewNamespaces(reader, live, lastGood), parents: NewParents(reader, live, reader.RESTMapper()),
			lastGood: lastGood, kinds: index(table), clock: clock.RealClock{},
		},
		kinds: index(table), objects: objects, client: reader,
	}, nil
}

// Find gets an object by resource or kind, with or without its group, as kubectl takes it.
func (e *Explainer) Find(ctx context.Context, resource, namespace, name string) (schema.GroupVersionResource, *unstructured.Unstructured, error) {
	partial := schema.ParseGroupResource(resource).WithVersion("")
	gvr, err := e.client.RESTMapper().ResourceFor(partial)
	if err != nil {
		mapping, byKind := e.client.RESTMapper().RESTMapping(schema.ParseGroupKind(resource))
		if byKind != nil {
			return gvr, nil, fmt.Errorf("the server knows no resource %q: write for example deployment/web, or rollouts.argoproj.io/web", resource)
		}
		gvr = mapping.Resource
	}
	if known, ok := e.kinds[metav1.GroupResource{Group: gvr.Group, Resource: gvr.Resource}]; ok {
		gvr.Version = known.Version
		if known.Cluster {
			namespace = ""
		}
	}
	o, err := e.objects.Resource(gvr).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return gvr, nil, fmt.Errorf("get %s %s/%s: %w", gvr.Resource, namespace, name, err)
	}
	return gvr, o, nil
}

// Explain says what holds of an object, and what of growing its first count to a number.
func (e *Explainer) Explain(ctx context.Context, gvr schema.GroupVersionResource, o *unstructured.Unstructured, to *int64) (Explanation, error) {
	raw, err := o.MarshalJSON()
	if err != nil {
		return Explanation{}, err
	}
	review := &admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, Namespace: o.GetNamespace(), Name: o.GetName(),
		Resource: metav1.GroupVersionResource{Group: gvr.Group, Version: gvr.Version, Resource: gvr.Resource},
	}
	review.Object.Raw = raw
	c, err := e.converter.explained(ctx, review)
	if err != nil {
		return Explanation{}, err
	}
	for i := range c.request.Counts {
		c.request.Counts[i].Old = c.request.Counts[i].New
	}
	if to != nil && len(c.request.Counts) > 0 {
		c.request.Counts[0].New = *to
	}
	out := Explanation{Request: c.request}
	out.Limit, out.By, out.Bound = webhook.Effective(c.request)
	out.Decision, err = e.decide(ctx, c)
	return out, err
}

// explained reads all that bears on an object that stands, whether it grows or not.
func (c converter) explained(ctx context.Context, r *admissionv1.AdmissionRequest) (converted, error) {
	kind, known := c.kinds[metav1.GroupResource{Group: r.Resource.Group, Resource: r.Resource.Resource}]
	if !known { // it can only grow by /scale
		kind = c.kinds.of(r.Resource)
		kind.Counts, kind.plain = webhook.Kinds()[0].Counts, true
		c.kinds = kinds{metav1.GroupResource{Group: r.Resource.Group, Resource: r.Resource.Resource}: kind}
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
	return out, c.above(ctx, r.Namespace, &out.request)
}

// Above are the objects of a kind that stand above their ceiling. A kind that the server does
// not have has none.
func (e *Explainer) Above(ctx context.Context, kind webhook.Kind, namespace string) ([]Explanation, error) {
	gvr := tableKind{Kind: kind}.resource()
	list, err := e.objects.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	var out []Explanation
	for i := range list.Items {
		explained, err := e.Explain(ctx, gvr, &list.Items[i], nil)
		if err != nil {
			return out, err
		}
		if explained.Bound && explained.Highest() > explained.Limit && metav1.GetControllerOf(&list.Items[i]) == nil {
			out = append(out, explained)
		}
	}
	return out, nil
}

// Highest is the greatest number that the object asks for now.
func (e Explanation) Highest() int64 {
	most := int64(0)
	for _, c := range e.Request.Counts {
		most = max(most, c.Old)
	}
	return most
}
