package ledger

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/observe"
	"forewarm.dev/webhook/total"
)

// Shelf shows ledgers from a cache, a moment behind: to advise by, not to let in by.
type Shelf struct {
	*observe.Optional
	cached    client.Reader
	namespace string
	changed   []func(Holder)
}

// NewShelf makes a shelf of the ledgers in a namespace; Start must run. The cache need have no others.
func NewShelf(cached cache.Cache, namespace string, log logr.Logger) *Shelf {
	s := &Shelf{cached: cached, namespace: namespace}
	s.Optional = observe.NewOptional(observe.OptionalOptions{
		Informers: cached, Kinds: []client.Object{&v1alpha1.Ledger{}}, Watched: s.watched, Log: log,
		Without: "The CRD of Ledgers is not installed; totals do not hold until it is",
	})
	return s
}

// OnChange has f called with the holder of a ledger that says something else. It must be called before Start.
func (s *Shelf) OnChange(f func(Holder)) { s.changed = append(s.changed, f) }

func (s *Shelf) watched(_ client.Object, informer cache.Informer) error {
	tell := func(seen any) {
		if l, is := seen.(*v1alpha1.Ledger); is {
			for _, f := range s.changed {
				f(holderOf(l.Name))
			}
		}
	}
	_, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, now any) { tell(now) }, DeleteFunc: tell})
	return err
}

// Of is the ledger of a holder as it is known here; known is false where there is none.
func (s *Shelf) Of(ctx context.Context, h Holder) (l total.Ledger, known bool, err error) {
	if !s.Installed() {
		return l, false, nil
	}
	o := &v1alpha1.Ledger{}
	err = s.cached.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: h.ledger()}, o, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return l, false, nil
	}
	if err != nil {
		return l, false, fmt.Errorf("get the ledger of %s: %w", h, err)
	}
	return fromAPI(o), true, nil
}
