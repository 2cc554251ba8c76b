package handler

import (
	"maps"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"forewarm.dev/webhook"
)

// LastGood remembers, in memory, the last well-formed value of each of our annotations on
// each object that an informer shows. It counts while the stored one is malformed, which can
// only come about while no webhook was there to refuse it. After a restart it starts empty.
type LastGood struct {
	mu     sync.RWMutex
	values map[types.UID]map[string]string
	// changes counts how often a value came, went or changed.
	changes atomic.Int64
}

// NewLastGood makes an empty memory.
func NewLastGood() *LastGood {
	return &LastGood{values: map[types.UID]map[string]string{}}
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
	}
}

// setting is an annotation on an object, with its last good value.
func (l *LastGood) setting(on webhook.Object, annotation string, uid types.UID, annotations map[string]string) webhook.Setting {
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
