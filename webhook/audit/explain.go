// Package audit tells what the webhook would say of objects that stand: of one that somebody asks about,
// and of all that are above their ceiling.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/handler"
	"forewarm.dev/webhook/sources"
)

// Explainer tells what the webhook would say of an object, by the same code. It reads all of
// it from the API server, and knows no last good values.
type Explainer struct {
	reviewer   *handler.Reviewer
	namespaces *sources.Namespaces
	owners     *sources.Owners
	lastGood   *sources.LastGood
	kinds      sources.Kinds
	clock      clock.PassiveClock
	objects    dynamic.Interface
	client     client.Client
	// mapper knows short names too.
	mapper meta.RESTMapper
	// namespace has the ledgers.
	namespace string
}

// Explanation is what holds of an object.
type Explanation struct {
	// Request has what the object asks for and every annotation that bears on it.
	Request webhook.Request
	// Limit is the effective ceiling, and By what sets it, where Bound.
	Limit int64
	By    webhook.Setting
	Bound bool
	// Unapproved are the instance types that the object allows against ApprovedBy.
	Unapproved []string
	ApprovedBy webhook.Setting
	// Used are the totals that the object is part of, or sets, with what is used of each, and Unread
	// says of which that could not be told.
	Used   []Used
	Unread []string
	// Decision is the verdict about the number that was asked about.
	Decision webhook.Decision
}

// Settings are the annotations that are set and bear on the object.
func (e Explanation) Settings() []webhook.Setting {
	settings := append([]webhook.Setting{e.Request.Own, e.Request.Override}, e.Request.Above...)
	if i := e.Request.Instances; i != nil {
		settings = append(settings, i.Lists...)
	}
	return slices.DeleteFunc(settings, func(s webhook.Setting) bool { return !s.Set })
}

// NewExplainer makes an explainer for whom the configuration is, where namespace is Forewarm's own.
func NewExplainer(config *rest.Config, table []webhook.Kind, namespace string) (*Explainer, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	reader, err := client.New(config, client.Options{Scheme: scheme})
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
	names, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	options := handler.Options{
		Owners: sources.NewOwners(objects, table, logr.Discard()), LastGood: sources.NewLastGood(), Kinds: table, Clock: clock.RealClock{},
		Parents: sources.NewParents(reader, live, reader.RESTMapper()),
	}
	options.Namespaces = sources.NewNamespaces(reader, live, options.LastGood)
	out := newExplainer(options)
	out.client, out.namespace, out.mapper = reader, namespace, restmapper.NewShortcutExpander(reader.RESTMapper(), names, nil)
	return out, nil
}

// newExplainer makes one that reads as the handlers do, and knows of no ledger.
func newExplainer(o handler.Options) *Explainer {
	return &Explainer{
		reviewer: handler.NewReviewer(o), namespaces: o.Namespaces, owners: o.Owners, lastGood: o.LastGood, kinds: sources.Index(o.Kinds),
		clock: o.Clock, objects: o.Owners.Live,
	}
}

// Find gets an object by resource or kind, with or without its group, as kubectl takes it.
func (e *Explainer) Find(ctx context.Context, resource, namespace, name string) (schema.GroupVersionResource, *unstructured.Unstructured, error) {
	mapping, err := e.mapping(resource)
	if err != nil {
		return schema.GroupVersionResource{}, nil, fmt.Errorf("the server knows no resource %q: write for example deployment/web, or rollouts.argoproj.io/web", resource)
	}
	gvr := mapping.Resource
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	if known, ok := e.kinds[metav1.GroupResource{Group: gvr.Group, Resource: gvr.Resource}]; ok {
		if !slices.Contains(known.Versions(), gvr.Version) {
			gvr.Version = known.Version
		}
	}
	o, err := e.objects.Resource(gvr).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return gvr, nil, fmt.Errorf("get %s %s/%s: %w", gvr.Resource, namespace, name, err)
	}
	return gvr, o, nil
}

// mapping finds a resource by its name, or by its kind.
func (e *Explainer) mapping(resource string) (*meta.RESTMapping, error) {
	mapper := e.mapper
	if gvr, err := mapper.ResourceFor(schema.ParseGroupResource(resource).WithVersion("")); err == nil {
		kind, err := mapper.KindFor(gvr)
		if err != nil {
			return nil, err
		}
		return mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	return mapper.RESTMapping(schema.ParseGroupKind(resource))
}

// Ask is a number that somebody thinks of writing.
type Ask struct {
	// By is the field of the count, as in the table of kinds; empty means the first.
	By string
	To int64
}

// of is which of the counts is asked about, below zero where none is.
func (a Ask) of(counts []webhook.Change) int {
	return slices.IndexFunc(counts, func(one webhook.Change) bool { return a.By == "" || one.Field == a.By })
}

// Explain says what holds of an object, totals aside, and what the webhook would say to a number; nil asks
// about none.
func (e *Explainer) Explain(ctx context.Context, gvr schema.GroupVersionResource, o *unstructured.Unstructured, ask *Ask) (Explanation, error) {
	out, _, err := e.explain(ctx, gvr, o, ask)
	return out, err
}

func (e *Explainer) explain(ctx context.Context, gvr schema.GroupVersionResource, o *unstructured.Unstructured, ask *Ask) (Explanation, handler.Look, error) {
	raw, err := o.MarshalJSON()
	if err != nil {
		return Explanation{}, handler.Look{}, err
	}
	review := &admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, Namespace: o.GetNamespace(), Name: o.GetName(),
		Resource: metav1.GroupVersionResource{Group: gvr.Group, Version: gvr.Version, Resource: gvr.Resource},
	}
	review.Object.Raw = raw
	c, err := e.reviewer.Look(ctx, review)
	if err != nil {
		return Explanation{}, c, err
	}
	if _, known := e.kinds[metav1.GroupResource{Group: gvr.Group, Resource: gvr.Resource}]; !known {
		if c.Request.Counts[0].New, err = e.scaleOf(ctx, gvr, o); err != nil {
			return Explanation{}, c, err
		}
	}
	for i := range c.Request.Counts {
		c.Request.Counts[i].Old = c.Request.Counts[i].New
	}
	out := Explanation{Request: c.Request}
	out.Limit, out.By, out.Bound = webhook.Effective(c.Request)
	out.Unapproved, out.ApprovedBy = webhook.Unapproved(c.Request.Instances)
	if ask == nil {
		out.Decision, err = e.reviewer.Decide(ctx, c)
		return out, c, err
	}
	out.Decision, err = e.ask(ctx, review, o, c, *ask)
	return out, c, err
}

// scaleOf is the count of an object of a kind that is in no table: that of its /scale, 0 where
// it has none.
func (e *Explainer) scaleOf(ctx context.Context, gvr schema.GroupVersionResource, o *unstructured.Unstructured) (int64, error) {
	scale, err := e.objects.Resource(gvr).Namespace(o.GetNamespace()).Get(ctx, o.GetName(), metav1.GetOptions{}, "scale")
	if err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	replicas, _, _ := unstructured.NestedInt64(scale.Object, "spec", "replicas")
	return replicas, nil
}

// ask decides about a number as the webhook would: what it clamps first is held to what is left.
func (e *Explainer) ask(ctx context.Context, review *admissionv1.AdmissionRequest, o *unstructured.Unstructured, c handler.Look, ask Ask) (webhook.Decision, error) {
	i := ask.of(c.Request.Counts)
	if i < 0 {
		return webhook.Decision{}, fmt.Errorf("%s has no count %q: it has %s", c.Request.Object, ask.By, fieldsOf(c.Request.Counts))
	}
	clamped := webhook.Decision{}
	if review.Resource.Resource == "horizontalpodautoscalers" {
		ask.By = c.Request.Counts[i].Field
		var err error
		if clamped, ask.To, err = e.clamp(ctx, review, o, ask); err != nil {
			return clamped, err
		}
	}
	c.Request.Counts = slices.Clone(c.Request.Counts)
	c.Request.Counts[i].New = ask.To
	decision, err := e.reviewer.Decide(ctx, c)
	if err != nil || decision.Verdict == webhook.Deny || clamped.Reason != webhook.ReasonClamped {
		return decision, err
	}
	return clamped, nil
}

// clamp is what becomes of one bound of an HPA; a greater minimum raises the maximum with it.
func (e *Explainer) clamp(ctx context.Context, review *admissionv1.AdmissionRequest, o *unstructured.Unstructured, ask Ask) (webhook.Decision, int64, error) {
	asked := o.DeepCopy()
	most, _, _ := unstructured.NestedInt64(o.Object, "spec", "maxReplicas")
	for field, n := range map[string]int64{"spec.maxReplicas": max(most, ask.To), ask.By: ask.To} {
		if err := unstructured.SetNestedField(asked.Object, n, strings.Split(field, ".")...); err != nil {
			return webhook.Decision{}, 0, err
		}
	}
	raw, err := asked.MarshalJSON()
	if err != nil {
		return webhook.Decision{}, 0, err
	}
	write := *review
	write.Operation, write.OldObject, write.Object.Raw = admissionv1.Update, review.Object, raw
	decision, err := e.reviewer.Clamp(ctx, &write)
	for _, op := range decision.Patch {
		if n, is := op.Value.(int64); is && op.Path == "/"+strings.ReplaceAll(ask.By, ".", "/") {
			ask.To = n
		}
	}
	return decision, ask.To, err
}

func fieldsOf(counts []webhook.Change) string {
	names := make([]string, len(counts))
	for i, c := range counts {
		names[i] = c.Field
	}
	return strings.Join(names, ", ")
}

// pageOf is how many objects are listed at once.
const pageOf = 250

// renewed is by what a list goes on whose token has expired, after some five minutes, which the pauses
// behind each page may come to: the rest is then listed as it stands by now.
func renewed(err error) (token string, expired bool) {
	status, is := errors.AsType[*apierrors.StatusError](err)
	if !is || !apierrors.IsResourceExpired(err) {
		return "", false
	}
	token = status.Status().Continue
	return token, token != ""
}

// Above calls found with each object of a kind that stands above its ceiling, and pace after
// each page of objects that was looked at. A kind that the server does not have has none.
func (e *Explainer) Above(ctx context.Context, kind webhook.Kind, namespace string, found func(*unstructured.Unstructured, Explanation), pace func()) error {
	return e.Each(ctx, kind, namespace, func(o *unstructured.Unstructured, explained Explanation) {
		if explained.Exceeds() || len(explained.Unapproved) > 0 {
			found(o, explained)
		}
	}, pace)
}

// Each calls found with each object of a kind, save those that a controller owns, as Above does with those
// that stand above.
func (e *Explainer) Each(ctx context.Context, kind webhook.Kind, namespace string, found func(*unstructured.Unstructured, Explanation), pace func()) error {
	return client.IgnoreNotFound(sources.Kind{Kind: kind}.Served(func(gvr schema.GroupVersionResource) error {
		return e.each(ctx, gvr, namespace, found, pace)
	}))
}

func (e *Explainer) each(ctx context.Context, gvr schema.GroupVersionResource, namespace string, found func(*unstructured.Unstructured, Explanation), pace func()) error {
	for next := ""; ; {
		list, err := e.objects.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: pageOf, Continue: next})
		if token, expired := renewed(err); expired {
			next = token
			continue
		}
		if err != nil {
			return err
		}
		for i := range list.Items {
			if metav1.GetControllerOf(&list.Items[i]) != nil {
				continue
			}
			explained, err := e.Explain(ctx, gvr, &list.Items[i], nil)
			if err != nil {
				return err
			}
			found(&list.Items[i], explained)
		}
		pace()
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

// Exceeds says whether a number stands above its ceiling.
func (e Explanation) Exceeds() bool { return e.Bound && e.Highest() > e.Limit }

// Highest is the greatest number that the object asks for now.
func (e Explanation) Highest() int64 {
	most := int64(0)
	for _, c := range e.Request.Counts {
		most = max(most, c.Old)
	}
	return most
}
