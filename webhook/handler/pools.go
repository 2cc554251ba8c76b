package handler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/demand"
	"forewarm.dev/webhook"
)

// lookAgain is how often the WarmPool CRD is looked for while it is not installed.
const lookAgain = 30 * time.Second

// Pools reads the cluster's WarmPools from a cache. A cluster without their CRD has none.
type Pools struct {
	informers cache.Informers
	reader    client.Reader
	log       logr.Logger
	installed atomic.Bool
	once      sync.Once
	looked    chan struct{}
}

// NewPools makes a reader; Start must run.
func NewPools(cached cache.Cache, log logr.Logger) *Pools {
	return &Pools{informers: cached, reader: cached, log: log, looked: make(chan struct{})}
}

// Start looks for the CRD until it is there. It is a runnable of the manager.
func (p *Pools) Start(ctx context.Context) error {
	for {
		wait := lookAgain
		_, err := p.informers.GetInformer(ctx, &v1alpha1.WarmPool{})
		switch {
		case err == nil:
			p.installed.Store(true)
			p.once.Do(func() { close(p.looked) })
			return nil
		case meta.IsNoMatchError(err):
			p.once.Do(func() {
				p.log.Info("The WarmPool CRD is not installed; pods get no pool until it is")
				close(p.looked)
			})
		case ctx.Err() == nil:
			p.log.Error(err, "Watching WarmPools failed; trying again")
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// NeedLeaderElection is false: every replica serves.
func (p *Pools) NeedLeaderElection() bool { return false }

// Ready fails until the WarmPools are known, or known not to be there.
func (p *Pools) Ready() error {
	select {
	case <-p.looked:
		return nil
	default:
		return errors.New("WarmPools have not been read yet")
	}
}

func (p *Pools) list(ctx context.Context) ([]webhook.Pool, error) {
	if !p.installed.Load() {
		return nil, nil
	}
	var found v1alpha1.WarmPoolList
	if err := p.reader.List(ctx, &found, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list WarmPools: %w", err)
	}
	var out []webhook.Pool
	for i := range found.Items {
		if pool, ok := convertPool(&found.Items[i]); ok {
			out = append(out, pool)
		}
	}
	return out, nil
}

// convertPool leaves out a pool whose selectors cannot be read; the reserver reports those.
// A pool that is being deleted takes no more pods.
func convertPool(p *v1alpha1.WarmPool) (webhook.Pool, bool) {
	class, err := demand.Compile(p)
	if err != nil || p.DeletionTimestamp != nil {
		return webhook.Pool{}, false
	}
	return webhook.Pool{
		Name: class.Pool, Priority: class.Priority, Resource: class.Resource,
		NamespaceSelector: class.Namespaces, PodSelector: class.Pods, Tolerations: p.Spec.Nodes.Tolerations,
	}, true
}
