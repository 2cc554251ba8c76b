package audit

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/handler"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/sources"
	"forewarm.dev/webhook/total"
)

// Used is a total, and what its ledger says is used of it.
type Used struct {
	Total  webhook.Setting
	Amount int64
	// Limit is the total as a number, where Bound.
	Limit int64
	Bound bool
	Mode  webhook.Mode
	// Carrier has the annotation, for [Explainer.Nodes] only.
	Carrier *metav1.PartialObjectMetadata
}

// sum is what the totals of a holder bound.
type sum struct {
	holder ledger.Holder
	totals []webhook.Setting
	mode   webhook.Mode
}

var namespaces = corev1.Resource("namespaces")

// sumOf is what an object sets for a holder; on is how messages name it.
func (e *Explainer) sumOf(h ledger.Holder, on webhook.Object, o metav1.Object) []sum {
	out := sum{holder: h}
	for _, annotation := range h.Totals() {
		if s := e.lastGood.Setting(on, annotation, o.GetUID(), o.GetAnnotations()); s.Set {
			out.totals = append(out.totals, s)
		}
	}
	out.mode, _ = webhook.ParseMode(o.GetAnnotations()[webhook.CeilingMode])
	if len(out.totals) == 0 {
		return nil
	}
	return []sum{out}
}

// namespaceSums are those of a Namespace; kube-system has that of all nodes too.
func (e *Explainer) namespaceSums(o metav1.Object) []sum {
	on := webhook.Object{Kind: "Namespace", Name: o.GetName()}
	out := e.sumOf(ledger.Holder{Kind: ledger.Namespace, Name: o.GetName()}, on, o)
	if o.GetName() == metav1.NamespaceSystem {
		out = append(out, e.sumOf(ledger.Holder{Kind: ledger.Cluster}, on, o)...)
	}
	return out
}

// sums are those that an object is part of, or that it sets itself.
func (e *Explainer) sums(ctx context.Context, gvr schema.GroupVersionResource, o *unstructured.Unstructured) ([]sum, error) {
	name, kind := metav1.NamespaceSystem, e.kinds.Of(metav1.GroupVersionResource(gvr))
	var out []sum
	switch {
	case gvr.GroupResource() == namespaces:
		return e.namespaceSums(o), nil
	case gvr.GroupResource() == sources.NodePools.GroupResource():
		out = e.sumOf(ledger.Holder{Kind: ledger.NodePool, Name: o.GetName()}, webhook.Object{Kind: kind.Name, Name: o.GetName()}, o)
	case len(kind.Counts) > 0 && kind.Counted():
		name = o.GetNamespace()
	default:
		return nil, nil
	}
	namespace, err := e.namespaces.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, s := range e.namespaceSums(namespace) {
		if s.holder.Kind == ledger.Namespace == (name != metav1.NamespaceSystem) {
			out = append(out, s)
		}
	}
	return out, nil
}

// ExplainTotals is Explain, and tells what is used of the totals that bear on the object, and what
// they say to the number. A Namespace has no number of its own.
func (e *Explainer) ExplainTotals(ctx context.Context, gvr schema.GroupVersionResource, o *unstructured.Unstructured, ask *Ask) (Explanation, error) {
	sums, err := e.sums(ctx, gvr, o)
	if err != nil {
		return Explanation{}, err
	}
	if gvr.GroupResource() == namespaces {
		return e.explainNamespace(ctx, o, sums, ask)
	}
	out, c, err := e.explain(ctx, gvr, o, ask)
	if err != nil || len(sums) == 0 {
		return out, err
	}
	kind := e.kinds.Of(metav1.GroupVersionResource(gvr))
	if gvr.GroupResource() == sources.NodePools.GroupResource() {
		return out, e.use(ctx, &out, sums, nil)
	}
	asked, err := e.owners.Ask(ctx, kind, o.GetNamespace(), o.Object)
	if apierrors.IsForbidden(err) {
		out.Unread = append(out.Unread, fmt.Sprintf("what its pods ask for was not looked at: %v", err))
		return out, e.use(ctx, &out, sums, nil)
	}
	if err != nil {
		return out, err
	}
	if len(asked.Claims()) > 0 {
		out.Unread = append(out.Unread, "GPUs that its pods claim by dynamic resource allocation are not counted here")
		return out, e.use(ctx, &out, sums, nil)
	}
	claim, err := e.claim(ctx, kind, o, c, ask)
	if err != nil {
		return out, err
	}
	return out, e.use(ctx, &out, sums, claim)
}

func (e *Explainer) explainNamespace(ctx context.Context, o *unstructured.Unstructured, sums []sum, ask *Ask) (Explanation, error) {
	on := webhook.Object{Kind: "Namespace", Name: o.GetName()}
	if ask != nil {
		return Explanation{}, fmt.Errorf("no number is asked for by %s itself: ask about a workload in it, or leave --replicas out", on)
	}
	out := Explanation{Request: webhook.Request{Object: on}}
	for _, annotation := range webhook.Written() {
		out.Request.Above = append(out.Request.Above, e.lastGood.Setting(on, annotation, o.GetUID(), o.GetAnnotations()))
	}
	return out, e.use(ctx, &out, sums, nil)
}

// use adds what is used of the totals to an explanation, and what they say to a claim, if any. A
// ledger that is not there, or that one may not read, is told of instead.
func (e *Explainer) use(ctx context.Context, out *Explanation, sums []sum, claim *total.Claim) error {
	for _, s := range sums {
		l, err := ledger.Read(ctx, e.client, e.namespace, s.holder)
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			out.Unread = append(out.Unread, fmt.Sprintf("the totals of %s were not looked at: %v; let yourself get ledgers.forewarm.dev in namespace %s", s.holder, err, e.namespace))
			continue
		}
		if err != nil {
			return err
		}
		for _, by := range s.totals {
			out.Used = append(out.Used, s.used(l, by))
		}
		if claim == nil || out.Decision.Verdict == webhook.Deny {
			continue
		}
		claim.Totals, claim.Mode = s.totals, s.mode
		if decision, _ := l.Review(*claim); decision.Verdict == webhook.Deny || decision.Reason == total.ReasonAboveTotal {
			decision.Warnings = append(decision.Warnings, out.Decision.Warnings...)
			out.Decision = decision
		}
	}
	return nil
}

func (s sum) used(l total.Ledger, by webhook.Setting) Used {
	out := Used{Total: by, Mode: s.mode}
	out.Amount, out.Limit, out.Bound = l.Used(by)
	return out
}

// claim is what an object would claim of totals for a number, if any is asked about; nil where its
// controller is counted in its place.
func (e *Explainer) claim(ctx context.Context, kind sources.Kind, o *unstructured.Unstructured, c handler.Look, ask *Ask) (*total.Claim, error) {
	if ask == nil {
		return nil, nil
	}
	if replaced, err := e.reviewer.Counted(ctx, c); replaced || err != nil {
		return nil, err
	}
	stands, err := e.owners.Ask(ctx, kind, o.GetNamespace(), o.Object)
	if err != nil {
		return nil, err
	}
	old := stands.With(nil)
	claim := &total.Claim{
		Object: c.Request.Object, Key: total.KeyOf(kind.Group, kind.Resource, o.GetName()), Version: o.GetResourceVersion(),
		Old: old, New: old.At(c.Request.Counts[ask.of(c.Request.Counts)].Old, ask.To), Now: e.clock.Now().UTC().Truncate(time.Microsecond),
	}
	if kind.Plain {
		asked := o.DeepCopy()
		if err := unstructured.SetNestedField(asked.Object, ask.To, "spec", "replicas"); err != nil {
			return nil, err
		}
		wanted, err := e.owners.Ask(ctx, kind, o.GetNamespace(), asked.Object)
		if err != nil {
			return nil, err
		}
		claim.New = wanted.With(nil)
	}
	return claim, nil
}

// Nodes are those that there are, where kube-system says how many there may be: nothing of ours
// refuses one, since it runs already, and not every one comes of an object that is held. One that is
// being deleted does not count. It calls pace after each page of Nodes.
func (e *Explainer) Nodes(ctx context.Context, pace func()) (used Used, counted bool, err error) {
	system, err := e.namespaces.Get(ctx, metav1.NamespaceSystem)
	if err != nil {
		return Used{}, false, err
	}
	sums := e.sumOf(ledger.Holder{Kind: ledger.Cluster}, webhook.Object{Kind: "Namespace", Name: system.Name}, system)
	if len(sums) == 0 {
		return Used{}, false, nil
	}
	used = sums[0].used(total.Ledger{}, sums[0].totals[0])
	used.Carrier = system
	for next := ""; ; {
		list, err := e.namespaces.Live.Resource(sources.Nodes).List(ctx, metav1.ListOptions{Limit: pageOf, Continue: next})
		if token, expired := renewed(err); expired {
			next = token
			continue
		}
		if err != nil {
			return used, false, fmt.Errorf("list Nodes: %w", err)
		}
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp == nil {
				used.Amount++
			}
		}
		pace()
		if next = list.Continue; next == "" {
			return used, true, nil
		}
	}
}

// Exceeds says whether more is used than is allowed.
func (u Used) Exceeds() bool { return u.Bound && u.Amount > u.Limit }

// TotalsAbove calls found with each total of which more is used than it allows.
func (e *Explainer) TotalsAbove(ctx context.Context, found func(Used)) error {
	return e.Totals(ctx, func(used Used) {
		if used.Exceeds() {
			found(used)
		}
	})
}

// Totals calls found with each total that has a ledger.
func (e *Explainer) Totals(ctx context.Context, found func(Used)) error {
	var list v1alpha1.LedgerList
	if err := e.client.List(ctx, &list, client.InNamespace(e.namespace)); err != nil {
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	for i := range list.Items {
		h, l := ledger.Decode(&list.Items[i])
		sums, err := e.sumsOf(ctx, h)
		if err != nil {
			return err
		}
		for _, s := range sums {
			for _, by := range s.totals {
				if s.holder == h {
					found(s.used(l, by))
				}
			}
		}
	}
	return nil
}

// sumsOf are what the object sets that a ledger is of; none where it is gone.
func (e *Explainer) sumsOf(ctx context.Context, h ledger.Holder) ([]sum, error) {
	if h.Kind == ledger.NodePool {
		pool, err := e.namespaces.Live.Resource(sources.NodePools).Get(ctx, h.Name, metav1.GetOptions{})
		if err != nil {
			return nil, client.IgnoreNotFound(err)
		}
		return e.sumOf(h, webhook.Object{Kind: h.Kind, Name: h.Name}, pool), nil
	}
	name := metav1.NamespaceSystem
	if h.Kind == ledger.Namespace {
		name = h.Name
	}
	namespace, err := e.namespaces.Get(ctx, name)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return e.namespaceSums(namespace), nil
}
