package sources

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// LastGood remembers, in memory, the last well-formed value of each of our annotations on
// each object that an informer shows. It counts while the stored one is malformed, which can
// only come about while no webhook was there to refuse it. After a restart it starts empty.
type LastGood struct {
	mu     sync.RWMutex
	values map[types.UID]map[string]string
	// unread are the objects of which a value is malformed.
	unread map[types.UID]*metav1.PartialObjectMetadata
	// changes counts how often a value came, went or changed.
	changes atomic.Int64
}

// NewLastGood makes an empty memory.
func NewLastGood() *LastGood {
	return &LastGood{values: map[types.UID]map[string]string{}, unread: map[types.UID]*metav1.PartialObjectMetadata{}}
}

// Handler feeds the memory from an informer.
func (l *LastGood) Handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    l.see,
		UpdateFunc: func(_, now any) { l.see(now) },
		DeleteFunc: l.forget,
	}
}

// see takes over good values, keeps the old ones where a value is malformed, and forgets
// them where the annotation is gone: that was somebody's decision.
func (l *LastGood) see(seen any) {
	o, ok := seen.(metav1.Object)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known := maps.Clone(l.values[o.GetUID()]) // readers may hold the old one
	delete(l.unread, o.GetUID())
	for _, annotation := range webhook.Written() {
		value, set := o.GetAnnotations()[annotation]
		switch {
		case !set:
			delete(known, annotation)
		case webhook.Malformed(annotation, value) == nil:
			if known == nil {
				known = map[string]string{}
			}
			known[annotation] = value
		default:
			if metav1.GetControllerOf(o) == nil { // else it is its owner's value
				l.unread[o.GetUID()] = partial(o)
			}
		}
	}
	if !maps.Equal(known, l.values[o.GetUID()]) {
		l.changes.Add(1)
	}
	if len(known) == 0 {
		delete(l.values, o.GetUID())
		return
	}
	l.values[o.GetUID()] = known
}

// partial is the metadata of an object with its kind, which that of a typed one does not have.
func partial(o metav1.Object) *metav1.PartialObjectMetadata {
	switch o := o.(type) {
	case *metav1.PartialObjectMetadata:
		return o
	case *v1alpha1.WarmPool:
		return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WarmPool"}, ObjectMeta: o.ObjectMeta}
	default:
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), Annotations: o.GetAnnotations()}}
	}
}

func (l *LastGood) forget(seen any) {
	if gone, ok := seen.(toolscache.DeletedFinalStateUnknown); ok {
		seen = gone.Obj
	}
	if o, ok := seen.(metav1.Object); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, known := l.values[o.GetUID()]; known {
			l.changes.Add(1)
		}
		delete(l.values, o.GetUID())
		delete(l.unread, o.GetUID())
	}
}

// Unreadable are the values that cannot be read, with the objects that carry them.
func (l *LastGood) Unreadable() map[*metav1.PartialObjectMetadata][]webhook.Setting {
	l.mu.RLock()
	objects := slices.Collect(maps.Values(l.unread))
	l.mu.RUnlock()
	out := map[*metav1.PartialObjectMetadata][]webhook.Setting{}
	for _, o := range objects {
		for _, annotation := range webhook.Written() {
			s := l.Setting(webhook.Object{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}, annotation, o.UID, o.Annotations)
			if s.Set && webhook.Malformed(annotation, s.Value) != nil {
				out[o] = append(out[o], s)
			}
		}
	}
	return out
}

// Setting is an annotation on an object, with its last good value.
func (l *LastGood) Setting(on webhook.Object, annotation string, uid types.UID, annotations map[string]string) webhook.Setting {
	s := webhook.Setting{On: on, Annotation: annotation}
	if s.Value, s.Set = annotations[annotation]; !s.Set {
		return s
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if value, ok := l.values[uid][annotation]; ok {
		s.LastGood = &value
	}
	return s
}

// Changes counts how often a value came, went or changed.
func (l *LastGood) Changes() int64 { return l.changes.Load() }
