// Package freshness tells for how long the API server has said nothing about what is watched, and
// has listed anew what is silent.
package freshness

import (
	"context"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// Silence is how long a watch may say nothing. An API server sends bookmarks each minute, but none that is
// as old as the watch: for a kind in which nothing changes only once etcd has told of its progress, by itself each
// ten minutes. So silence means nothing by itself, and what is silent is listed anew.
const Silence = 3 * time.Minute

// Watches are the kinds that are watched. The zero value is ready.
type Watches struct {
	mu    sync.Mutex
	kinds map[string]*heard
}

// heard is what was heard about one kind.
type heard struct {
	// last is when the API server last said something, zero if it has not yet.
	last time.Time
	// silent tells that a watch was ended since it said nothing: that one begins says nothing either.
	silent bool
}

// NewInformer makes an informer of which every word of the API server is noted; the function is what a cache
// takes as its NewInformer.
func (w *Watches) NewInformer(from toolscache.ListerWatcher, example runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	return toolscache.NewSharedIndexInformer(w.listen(from, reflect.Indirect(reflect.ValueOf(example)).Type().Name()), example, resync, indexers)
}

// listen notes what lists and watches of a kind say.
func (w *Watches) listen(from toolscache.ListerWatcher, kind string) toolscache.ListerWatcher {
	asked := toolscache.ToListerWatcherWithContext(from)
	w.with(kind, func(*heard) {})
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := asked.ListWithContext(ctx, o)
			if err == nil {
				w.word(kind)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := asked.WatchWithContext(ctx, o)
			if err != nil {
				return nil, err
			}
			w.with(kind, func(h *heard) {
				// What has changed meanwhile is on its way.
				if !h.silent && !h.last.IsZero() {
					h.last = time.Now()
				}
			})
			l := &listening{Interface: events, result: make(chan watch.Event), stopped: make(chan struct{})}
			go l.forward(func() { w.word(kind) }, func() { w.with(kind, func(h *heard) { h.silent = true }) })
			return l, nil
		},
	}
}

func (w *Watches) word(kind string) {
	w.with(kind, func(h *heard) { *h = heard{last: time.Now()} })
}

func (w *Watches) with(kind string, do func(*heard)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kinds == nil {
		w.kinds = map[string]*heard{}
	}
	if w.kinds[kind] == nil {
		w.kinds[kind] = &heard{}
	}
	do(w.kinds[kind])
}

// Ages are how long ago the API server last said something, by kind. A kind of which nothing has been
// heard yet has none.
func (w *Watches) Ages() map[string]time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	ages := make(map[string]time.Duration, len(w.kinds))
	for kind, h := range w.kinds {
		if !h.last.IsZero() {
			ages[kind] = time.Since(h.last)
		}
	}
	return ages
}

// Behind is a kind of which nothing was heard for Silence and a bit; empty if there is none. Of several it
// is the first by name.
func (w *Watches) Behind() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := ""
	for kind, h := range w.kinds {
		if !h.last.IsZero() && time.Since(h.last) > Silence+grace && (first == "" || kind < first) {
			first = kind
		}
	}
	return first
}

// grace is how long a list may take after a silence.
const grace = 30 * time.Second

// expired has a reflector list anew.
var expired = watch.Event{Type: watch.Error, Object: &apierrors.NewResourceExpired("the watch was silent").ErrStatus}

// listening is a watch that ends when it is silent.
type listening struct {
	watch.Interface
	result  chan watch.Event
	stopped chan struct{}
	once    sync.Once
}

// ResultChan is where the events come.
func (l *listening) ResultChan() <-chan watch.Event { return l.result }

// Stop ends the watch.
func (l *listening) Stop() {
	l.once.Do(func() { close(l.stopped) })
	l.Interface.Stop()
}

// forward passes events on until there are no more, or none for Silence.
func (l *listening) forward(word, silent func()) {
	defer close(l.result)
	defer l.Interface.Stop()
	quiet := time.NewTimer(Silence)
	defer quiet.Stop()
	for {
		select {
		case event, more := <-l.Interface.ResultChan():
			if !more {
				return
			}
			if event.Type != watch.Error {
				word()
			}
			select {
			case l.result <- event:
			case <-l.stopped:
				return
			}
			quiet.Reset(Silence)
		case <-quiet.C:
			silent()
			select {
			case l.result <- expired:
			case <-l.stopped:
			}
			return
		case <-l.stopped:
			return
		}
	}
}
