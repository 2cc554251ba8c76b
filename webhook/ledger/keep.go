package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// keep makes one holder right: 1 observe, 2 make or remove the ledger, 3 have it follow. It
// returns when to look again.
func (t *term) keep(ctx context.Context, h Holder) (time.Duration, error) {
	carrier, err := t.carrier(ctx, h)
	if err != nil {
		return 0, err
	}
	if carrier == nil || len(totalsOf(carrier, h.Kind)) == 0 {
		return 0, t.retire(ctx, h, carrier)
	}
	if ready, err := t.ready(ctx, h.Kind); !ready || err != nil {
		return time.Second, err
	}
	l := &v1alpha1.Ledger{}
	err = t.Client.Get(ctx, client.ObjectKey{Namespace: t.Namespace, Name: h.ledger()}, l)
	if apierrors.IsNotFound(err) {
		return time.Second, t.begin(ctx, h)
	}
	if err != nil {
		return 0, fmt.Errorf("get the ledger of %s: %w", h, err)
	}
	if h.Kind == Namespace {
		if err := t.label(ctx, carrier, reviewed(carrier)); err != nil {
			return 0, err
		}
	}
	return t.settle(ctx, h, l, carrier)
}

// reviewed is the label by which the API server asks about growth in a Namespace with totals. Where its mode
// refuses nothing, nor may the API server while no webhook answers.
func reviewed(namespace metav1.Object) string {
	if mode, _ := webhook.ParseMode(namespace.GetAnnotations()[webhook.CeilingMode]); mode != webhook.Enforce {
		return v1alpha1.TotalsTold
	}
	return v1alpha1.TotalsEnforced
}

// carrier is the metadata of the object that carries the annotations, nil for none.
func (t *term) carrier(ctx context.Context, h Holder) (*metav1.PartialObjectMetadata, error) {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: Namespace})
	name, reader := h.Name, t.Cached
	switch h.Kind {
	case Namespace:
		if slices.Contains(t.Excluded, h.Name) {
			return nil, nil
		}
	case NodePool:
		if !t.installed(nodePools) {
			return nil, nil
		}
		o.SetGroupVersionKind(schema.GroupVersionKind{Group: nodePools.Group, Version: nodePools.Version, Kind: nodePools.Name})
		reader = t.Client
	default:
		name = metav1.NamespaceSystem
	}
	err := reader.Get(ctx, client.ObjectKey{Name: name}, o)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", h, err)
	}
	if o.DeletionTimestamp != nil {
		return nil, nil
	}
	return o, nil
}

// begin makes a ledger that is to be completed.
func (t *term) begin(ctx context.Context, h Holder) error {
	t.holding(h).open = time.Time{}
	l := &v1alpha1.Ledger{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: h.ledger()},
		Data:       v1alpha1.LedgerData{Holder: v1alpha1.LedgerHolder{Kind: h.Kind, Name: h.Name}},
	}
	if err := t.Client.Create(ctx, l); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the ledger of %s: %w", h, err)
	}
	t.Log.Info("A total is set", "holder", h.String(), "ledger", l.Name)
	t.queue.Add(h)
	return nil
}

func (t *term) holding(h Holder) *holding {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holders[h] == nil {
		t.holders[h] = &holding{claims: map[total.Key]sighting{}}
	}
	return t.holders[h]
}

// retire removes what a total has left, if it has left anything: first that for which growth is
// refused without us.
func (t *term) retire(ctx context.Context, h Holder, carrier *metav1.PartialObjectMetadata) error {
	labelled := h.Kind == Namespace && carrier != nil && carrier.Labels[v1alpha1.LabelTotals] != ""
	if !labelled && !t.holds(h) {
		return nil
	}
	if h.Kind == Namespace && carrier != nil {
		if err := t.label(ctx, carrier, ""); err != nil {
			return err
		}
		if err := t.freePods(ctx, h); err != nil {
			return err
		}
	}
	l := &v1alpha1.Ledger{ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: h.ledger()}}
	if err := t.Client.Delete(ctx, l); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete the ledger of %s: %w", h, err)
	}
	t.measure(h, nil)
	t.mu.Lock()
	delete(t.holders, h)
	t.mu.Unlock()
	return nil
}

// label has the API server ask about growth in the Namespace; with no value it does not.
func (t *term) label(ctx context.Context, namespace *metav1.PartialObjectMetadata, value string) error {
	if is, set := namespace.Labels[v1alpha1.LabelTotals]; is == value && set == (value != "") {
		return nil
	}
	body := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, v1alpha1.LabelTotals)
	if value != "" {
		body = fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelTotals, value)
	}
	if err := t.Client.Patch(ctx, namespace.DeepCopy(), client.RawPatch("application/merge-patch+json", body)); err != nil {
		return fmt.Errorf("label Namespace %s: %w", namespace.Name, client.IgnoreNotFound(err))
	}
	return nil
}

// settle has the ledger follow, and tells how it then stands.
func (t *term) settle(ctx context.Context, h Holder, o *v1alpha1.Ledger, carrier *metav1.PartialObjectMetadata) (time.Duration, error) {
	now := fromAPI(o)
	sight, err := t.bounding(ctx, h, now, carrier)
	if err != nil {
		return 0, err
	}
	over, err := t.over(ctx, h, now, sight)
	if err != nil {
		return 0, err
	}
	complete, behind, coming := t.complete(h, carrier), false, false
	err = t.Book.change(ctx, h, func(l *total.Ledger) (changed, sure bool) {
		before := *l
		if behind = len(l.Behind(sight)) > 0; behind {
			return false, false
		}
		*l = l.Settle(sight, over)
		complete = before.Complete || complete
		l.Complete, coming = complete, len(l.Entries) > 0
		now = *l
		return !l.Equal(before), false
	})
	if err == nil && !behind {
		err = t.report(ctx, h, o, carrier, now)
	}
	switch {
	case err != nil:
		return 0, err
	case behind:
		return coalesce, nil
	case !complete:
		return settleTime / 4, nil
	case coming:
		return time.Second, nil
	default:
		return 0, nil
	}
}

// bounding is the sight of a holder, by which pods are bound.
func (t *term) bounding(ctx context.Context, h Holder, l total.Ledger, carrier *metav1.PartialObjectMetadata) (total.Sight, error) {
	sight, err := t.sight(ctx, h, l)
	if err != nil || h.Kind != Namespace {
		return sight, err
	}
	return sight, t.boundPods(ctx, h, carrier)
}

// complete says whether what was there before is counted.
func (t *term) complete(h Holder, carrier *metav1.PartialObjectMetadata) bool {
	holding := t.holding(h)
	asked := []string{v1alpha1.TotalsEnforced, v1alpha1.TotalsTold}
	if h.Kind == Namespace && !slices.Contains(asked, carrier.Labels[v1alpha1.LabelTotals]) {
		return false
	}
	if holding.open.IsZero() {
		holding.open = time.Now()
	}
	return time.Since(holding.open) >= settleTime
}

// sight is what the watches show of what counts for a holder. Where one is behind the ledger, as
// that of a new leader may be, the API server is asked.
func (t *term) sight(ctx context.Context, h Holder, l total.Ledger) (total.Sight, error) {
	out, devices := total.Sight{Objects: map[total.Key]total.Seen{}, UpTo: map[string]string{}}, int64(0)
	for _, w := range t.watches.each() {
		if !h.counts(w.kind) {
			continue
		}
		resource := resourceOf(w.kind).GroupResource().String()
		out.UpTo[resource] = w.upTo() // before what is shown is listed, which is then no older
		found := w.list(h.index())
		if slices.Contains(l.Behind(out), resource) {
			var err error
			if found, out.UpTo[resource], err = t.asked(ctx, h, w); err != nil {
				return out, err
			}
		}
		for _, o := range found {
			if t.watches.vouched(o) {
				continue
			}
			amounts, err := t.uncounted(ctx, o)
			if err != nil {
				return out, err
			}
			if amounts != (webhook.Amounts{}) {
				devices = quantity.Add(devices, o.ask.With(nil).GPUs)
			}
			out.Objects[total.KeyOf(w.kind.Group, w.kind.Resource, o.Name)] = total.Seen{Amounts: amounts, Version: o.ResourceVersion, Born: w.bornAt(o)}
		}
	}
	t.holding(h).devices = devices
	return out, nil
}

// asked is what the API server has of a kind that counts for a holder, and in which version.
func (t *term) asked(ctx context.Context, h Holder, w *watch) ([]*object, string, error) {
	options := metav1.ListOptions{}
	if h.Kind == NodePool {
		options.LabelSelector = labels.Set{webhook.NodePoolOf: h.Name}.String()
	}
	list, err := t.Live.Resource(resourceOf(w.kind)).Namespace(h.namespace()).List(ctx, options)
	if err != nil {
		return nil, "", fmt.Errorf("list %s of %s: %w", w.kind.Resource, h, err)
	}
	var out []*object
	for i := range list.Items {
		slim, err := w.slim(&list.Items[i])
		if err != nil {
			return nil, "", err
		}
		out = append(out, slim.(*object))
	}
	return out, list.GetResourceVersion(), nil
}

// over are the entries that only a look at the object can settle: what was let in so long ago
// that it cannot come any more. It puts what it finds into the sight.
func (t *term) over(ctx context.Context, h Holder, l total.Ledger, sight total.Sight) (map[total.Key]time.Time, error) {
	holding, now := t.holding(h), time.Now()
	claims, over := map[total.Key]sighting{}, map[total.Key]time.Time{}
	for key, e := range l.Entries {
		resource, _ := parse(key)
		if _, there := sight.Objects[key]; !there {
			if upTo, looked := sight.UpTo[resource.String()]; looked {
				sight.Objects[key] = total.Seen{Version: upTo}
			}
		}
		s := holding.claims[key]
		if !s.letIn.Equal(e.LetIn) {
			s = sighting{e.LetIn, now}
		}
		claims[key] = s
		if now.Sub(s.seen) < lifetime {
			continue
		}
		is, err := t.read(ctx, h, key)
		if err != nil {
			return nil, err
		}
		sight.Objects[key], over[key] = is, e.LetIn
	}
	holding.claims = claims
	return over, nil
}

// read looks at an object. One that is counted elsewhere, or not at all, is as good as gone.
func (t *term) read(ctx context.Context, h Holder, key total.Key) (total.Seen, error) {
	resource, name := parse(key)
	w := t.watches.of(resource)
	if w == nil {
		return total.Seen{}, nil
	}
	found, err := t.Live.Resource(resourceOf(w.kind)).Namespace(h.namespace()).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return total.Seen{}, nil
	}
	if err != nil {
		return total.Seen{}, fmt.Errorf("get %s of %s: %w", key, h, err)
	}
	return t.glance(ctx, w, h, found)
}

// glance counts an object as its watch would.
func (t *term) glance(ctx context.Context, w *watch, h Holder, found *unstructured.Unstructured) (total.Seen, error) {
	slim, err := w.slim(found)
	o, ok := slim.(*object)
	if err != nil || !ok || t.watches.vouched(o) || h.Kind == NodePool && o.pool != h.Name {
		return total.Seen{}, err
	}
	amounts, err := t.uncounted(ctx, o)
	return total.Seen{Amounts: amounts, Version: o.ResourceVersion}, err
}

// parse splits a key.
func parse(key total.Key) (schema.GroupResource, string) {
	resource, name, _ := strings.Cut(string(key), "/")
	return schema.ParseGroupResource(resource), name
}
