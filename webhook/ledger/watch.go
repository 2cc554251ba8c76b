package ledger

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	toolscache "k8s.io/client-go/tools/cache"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// object is what is kept of a watched object.
type object struct {
	metav1.ObjectMeta
	ask webhook.Ask
	// pod is what each pod of its template asks for, by which others may make theirs.
	pod webhook.PodAsk
	// members are those of its groups.
	members webhook.Members
	// nodes is what a NodeClaim counts for.
	nodes int64
	// pool is the NodePool of a NodeClaim.
	pool string
	// hard is what a quota allows.
	hard corev1.ResourceList
}

const (
	byNamespace = "namespace"
	byPool      = "pool"
)

// watch shows the objects of one kind.
type watch struct {
	kind     webhook.Kind
	informer toolscache.SharedIndexInformer
	stop     context.CancelFunc
	// changed is told of every object that changes.
	changed func(webhook.Kind, *object)

	mu sync.Mutex
	// born are the versions with which objects began, of those whose begin was watched.
	born map[types.UID]string
	// progress is the version up to which everything was shown.
	progress string
	// failed is the last error, nil where it works.
	failed error
}

// newWatch watches a kind in a namespace, or in all.
func (s *watches) newWatch(kind webhook.Kind, namespace string) (*watch, error) {
	w := &watch{kind: kind, changed: s.changed, born: map[types.UID]string{}}
	w.informer = dynamicinformer.NewFilteredDynamicInformer(s.live, resourceOf(kind), namespace, 0, toolscache.Indexers{
		byNamespace: func(o any) ([]string, error) { return []string{o.(*object).Namespace}, nil },
		byPool: func(o any) ([]string, error) {
			if pool := o.(*object).pool; pool != "" {
				return []string{pool}, nil
			}
			return nil, nil
		},
	}, func(o *metav1.ListOptions) {
		if resourceOf(kind) == resourceOf(quotas) { // there may be many others
			o.FieldSelector = onlyOurQuota
		}
	}).Informer()
	if err := w.informer.SetTransform(w.slim); err != nil {
		return nil, fmt.Errorf("watch %s: %w", kind.Resource, err)
	}
	if err := w.informer.SetWatchErrorHandler(func(_ *toolscache.Reflector, err error) {
		s.log.V(1).Info("A watch failed and is tried again", "resource", kind.Resource, "group", kind.Group, "reason", err.Error())
		w.mu.Lock()
		w.failed = err
		w.mu.Unlock()
	}); err != nil {
		return nil, fmt.Errorf("watch %s: %w", kind.Resource, err)
	}
	_, err := w.informer.AddEventHandler(toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, initial bool) { w.see(o, !initial, false) },
		UpdateFunc: func(before, o any) {
			if resourceOf(kind) == resourceOf(quotas) && apiequality.Semantic.DeepEqual(before.(*object).hard, o.(*object).hard) {
				return // only what is used has changed
			}
			w.see(o, false, false)
		},
		DeleteFunc: func(o any) { w.see(o, false, true) },
	})
	return w, err
}

func resourceOf(k webhook.Kind) schema.GroupVersionResource {
	return k.In(k.Version)
}

// slim keeps what is counted.
func (w *watch) slim(in any) (any, error) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok {
		return in, nil
	}
	o := &object{}
	o.Namespace, o.Name, o.UID, o.ResourceVersion = u.GetNamespace(), u.GetName(), u.GetUID(), u.GetResourceVersion()
	if controller := metav1.GetControllerOf(u); controller != nil {
		o.OwnerReferences = []metav1.OwnerReference{*controller}
	}
	if resourceOf(w.kind) == resourceOf(quotas) {
		quota := &corev1.ResourceQuota{}
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, quota)
		o.hard = quota.Spec.Hard
		return o, err
	}
	if w.kind.Group != webhook.NodeClaims.Group || w.kind.Resource != webhook.NodeClaims.Resource {
		o.ask, o.pod, o.members = w.kind.Ask(u.Object), webhook.Pod(u.Object), w.kind.Groups.Of(u.Object)
		return o, nil
	}
	o.pool = u.GetLabels()[webhook.NodePoolOf]
	if webhook.ClaimsNode(u.Object) {
		o.nodes = 1
	}
	return o, nil
}

// amounts are what an object counts for.
func (t *term) amounts(ctx context.Context, o *object) (webhook.Amounts, error) {
	ask := t.watches.asked(o)
	claims, err := t.claims(ctx, o.Namespace, ask.Claims())
	if err != nil {
		return webhook.Amounts{}, err
	}
	out := ask.With(claims)
	out.Nodes = o.nodes
	return out, nil
}

// see is called with what the informer shows by then, in the order of the versions.
func (w *watch) see(seen any, begins, ends bool) {
	if unknown, ok := seen.(toolscache.DeletedFinalStateUnknown); ok {
		seen = unknown.Obj
	}
	o, ok := seen.(*object)
	if !ok {
		return
	}
	w.mu.Lock()
	switch {
	case begins:
		w.born[o.UID] = o.ResourceVersion
	case ends:
		delete(w.born, o.UID)
	}
	if total.Newer(o.ResourceVersion, w.progress) {
		w.progress = o.ResourceVersion
	}
	w.mu.Unlock()
	w.changed(w.kind, o)
}

// list are the objects with a value of an index, and when each began.
func (w *watch) list(index, value string) []*object {
	found, err := w.informer.GetIndexer().ByIndex(index, value)
	if err != nil {
		return nil // the index is there
	}
	out := make([]*object, 0, len(found))
	for _, o := range found {
		out = append(out, o.(*object))
	}
	return out
}

func (w *watch) get(namespace, name string) *object {
	found, there, err := w.informer.GetIndexer().GetByKey(toolscache.NewObjectName(namespace, name).String())
	if err != nil || !there {
		return nil
	}
	return found.(*object)
}

// bornAt is the version with which an object began, empty where that was not seen.
func (w *watch) bornAt(o *object) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.born[o.UID]
}

// upTo is the version up to which everything was shown.
func (w *watch) upTo() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.progress
}

// synced says whether the watch shows everything, and why not where an attempt has failed.
func (w *watch) synced() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.informer.HasSynced(), w.failed
}

// watches are those of the kinds that are installed.
type watches struct {
	live    dynamic.Interface
	log     logr.Logger
	changed func(webhook.Kind, *object)
	// ledgers is the namespace of ledgers; everything else is watched everywhere.
	ledgers string

	mu  sync.Mutex
	all map[schema.GroupResource]*watch
}

// ensure watches a kind from now until ctx ends, or the kind is asked for in another version.
func (s *watches) ensure(ctx context.Context, kind webhook.Kind) (*watch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	resource := resourceOf(kind).GroupResource()
	before := s.all[resource]
	if before != nil && before.kind.Version == kind.Version {
		return before, nil
	}
	namespace := metav1.NamespaceAll
	if resource == resourceOf(ledgers).GroupResource() {
		namespace = s.ledgers
	}
	w, err := s.newWatch(kind, namespace)
	if err != nil {
		return nil, err
	}
	if before != nil {
		before.stop()
	}
	s.all[resource] = w
	ctx, w.stop = context.WithCancel(ctx)
	go w.informer.RunWithContext(ctx)
	return w, nil
}

// of is the watch of a resource, nil for none.
func (s *watches) of(resource schema.GroupResource) *watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[resource]
}

// each are the watches, in no order.
func (s *watches) each() []*watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*watch, 0, len(s.all))
	for _, w := range s.all {
		out = append(out, w)
	}
	return out
}

// asked is what an object asks for, also where another has the pod template.
func (s *watches) asked(o *object) webhook.Ask {
	if o.ask.Template.Name == "" {
		return o.ask
	}
	for _, w := range s.each() {
		if w.kind.Group != o.ask.Template.Group || w.kind.Name != o.ask.Template.Kind {
			continue
		}
		if of := w.get(o.Namespace, o.ask.Template.Name); of != nil {
			return o.ask.Of(of.pod)
		}
	}
	return o.ask
}

// vouched says whether an object's controller is counted in its place.
func (s *watches) vouched(o *object) bool {
	if len(o.OwnerReferences) == 0 {
		return false
	}
	controller := o.OwnerReferences[0]
	gv, err := schema.ParseGroupVersion(controller.APIVersion)
	if err != nil {
		return false
	}
	for _, w := range s.each() {
		if w.kind.Group == gv.Group && w.kind.Name == controller.Kind && w.kind.Vouches {
			owner := w.get(o.Namespace, controller.Name)
			return owner != nil && owner.UID == controller.UID
		}
	}
	return false
}
