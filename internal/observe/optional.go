package observe

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
)

// lookAgain is how often kinds are looked for while they are not installed.
const lookAgain = 30 * time.Second

// OptionalOptions say what an Optional watches.
type OptionalOptions struct {
	Informers cache.Informers
	// Kinds are objects of the kinds, which come and go together.
	Kinds []client.Object
	// Without is logged once while the kinds are not there; it says what that means.
	Without string
	// Watched is told of each kind's informer once; nil for nobody.
	Watched func(client.Object, cache.Informer) error
	Log     logr.Logger
}

// Optional watches kinds that a cluster has, gets later, or never has.
type Optional struct {
	OptionalOptions
	installed atomic.Bool
	once      sync.Once
	looked    chan struct{}
}

// NewOptional makes a watcher; Start must run.
func NewOptional(o OptionalOptions) *Optional {
	return &Optional{OptionalOptions: o, looked: make(chan struct{})}
}

// Start looks for the kinds until they are there. It is a runnable of a manager.
func (o *Optional) Start(ctx context.Context) error {
	next := 0
	for {
		var err error
		for err == nil && next < len(o.Kinds) {
			if err = o.watch(ctx, o.Kinds[next]); err == nil {
				next++
			}
		}
		wait := lookAgain
		switch {
		case err == nil:
			o.installed.Store(true)
			o.once.Do(func() { close(o.looked) })
			return nil
		case meta.IsNoMatchError(err):
			o.once.Do(func() {
				o.Log.Info(o.Without)
				close(o.looked)
			})
		case ctx.Err() == nil:
			o.Log.Error(err, "Kinds are not watched; trying again")
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (o *Optional) watch(ctx context.Context, kind client.Object) error {
	informer, err := o.Informers.GetInformer(ctx, kind)
	if err == nil && o.Watched != nil {
		err = o.Watched(kind, informer)
	}
	if err != nil {
		return fmt.Errorf("watch %T: %w", kind, err)
	}
	return nil
}

// NeedLeaderElection is false: every replica serves.
func (o *Optional) NeedLeaderElection() bool { return false }

// Ready fails until the objects are known, or known not to be there.
func (o *Optional) Ready() error {
	select {
	case <-o.looked:
		return nil
	default:
		return errors.New("not all kinds have been read yet")
	}
}

// Installed says whether the kinds are there and known.
func (o *Optional) Installed() bool { return o.installed.Load() }
