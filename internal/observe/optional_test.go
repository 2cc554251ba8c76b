package observe

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lateInformers answer with each error once, and then with success.
type lateInformers struct {
	cache.Cache
	errs chan error
}

func (l lateInformers) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return nil, <-l.errs
}

// TestOptional: a cluster may get kinds after the process has started, or never.
func TestOptional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 2)
		var watched []client.Object
		kinds := []client.Object{&corev1.Pod{}, &corev1.Node{}}
		o := NewOptional(OptionalOptions{
			Informers: lateInformers{errs: errs}, Kinds: kinds, Log: logr.Discard(),
			Watched: func(kind client.Object, _ cache.Informer) error {
				watched = append(watched, kind)
				return nil
			},
		})
		if o.Ready() == nil {
			t.Error("ready before anything was read")
		}
		done := make(chan error)
		go func() { done <- o.Start(t.Context()) }()
		errs <- nil
		errs <- errors.New("the API server is busy")
		synctest.Wait()
		if o.Ready() == nil {
			t.Error("ready although it is not known whether the second kind is there")
		}
		errs <- &meta.NoKindMatchError{}
		synctest.Wait()
		if o.Ready() == nil {
			t.Error("ready before the second look")
		}
		for o.Ready() != nil {
			time.Sleep(time.Second) // of the bubble
		}
		if o.Installed() {
			t.Error("installed without the second kind")
		}
		close(errs)
		if err := <-done; err != nil || !o.Installed() {
			t.Errorf("with both: %v, installed %t", err, o.Installed())
		}
		if len(watched) != 2 || watched[0] != kinds[0] || watched[1] != kinds[1] {
			t.Errorf("told of %v, want each kind once", watched)
		}
	})
}
