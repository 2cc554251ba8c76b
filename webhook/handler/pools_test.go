package handler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
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

// TestLateCRD: a cluster may get the WarmPool CRD after the webhook, or never.
func TestLateCRD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 2)
		p := NewPools(lateInformers{errs: errs}, logr.Discard())
		if p.Ready() == nil {
			t.Error("ready before anything was read")
		}
		done := make(chan error)
		go func() { done <- p.Start(t.Context()) }()
		errs <- errors.New("the API server is busy")
		synctest.Wait()
		if p.Ready() == nil {
			t.Error("ready although it is not known whether there are WarmPools")
		}
		errs <- &meta.NoKindMatchError{}
		synctest.Wait()
		if p.Ready() == nil {
			t.Error("ready before the second look")
		}
		for p.Ready() != nil {
			time.Sleep(time.Second) // of the bubble
		}
		if pools, err := p.list(t.Context()); err != nil || pools != nil {
			t.Errorf("without the CRD: %v, %v; want none", pools, err)
		}
		close(errs)
		if err := <-done; err != nil || !p.installed.Load() {
			t.Errorf("with the CRD: %v, installed %t", err, p.installed.Load())
		}
	})
}
