package handler

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"forewarm.dev/webhook"
)

// LastGood remembers, in memory, the last well-formed ceiling of each object that an
// informer shows. It counts while the stored annotation is malformed, which can only come
// about while no webhook was there to refuse it. After a restart it starts empty.
type LastGood struct {
	mu     sync.RWMutex
	values map[types.UID]int64
}

// NewLastGood makes an empty memory.
func NewLastGood() *LastGood {
	return &LastGood{values: map[types.UID]int64{}}
}

// Handler feeds the memory from an informer.
func (l *LastGood) Handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    l.see,
		UpdateFunc: func(_, now any) { l.see(now) },
		DeleteFunc: l.forget,
	}
}

// see takes over a good value, keeps the old one where the value is malformed, and forgets
// it where the annotation is gone: that was somebody's decision.
func (l *LastGood) see(seen any) {
	o, ok := seen.(metav1.Object)
	if !ok {
		return
	}
	value, set := o.GetAnnotations()[webhook.MaxReplicas]
	limit, err := webhook.ParseCeiling(value)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !set:
		delete(l.values, o.GetUID())
	case err == nil:
		l.values[o.GetUID()] = limit
	}
}

func (l *LastGood) forget(seen any) {
	if gone, ok := seen.(toolscache.DeletedFinalStateUnknown); ok {
		seen = gone.Obj
	}
	if o, ok := seen.(metav1.Object); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.values, o.GetUID())
	}
}

// setting is the annotation on an object, with its last good value.
func (l *LastGood) setting(on webhook.Object, uid types.UID, annotations map[string]string) webhook.Setting {
	s := webhook.Setting{On: on}
	if s.Value, s.Set = annotations[webhook.MaxReplicas]; !s.Set {
		return s
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if limit, ok := l.values[uid]; ok {
		s.LastGood = &limit
	}
	return s
}
