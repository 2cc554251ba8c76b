package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

const (
	// patience is how long one call to the API server may take.
	patience = 1500 * time.Millisecond
	// pause is the longest wait before a conflict is tried again.
	pause = 20 * time.Millisecond
	// grace is how long a refusal waits for the ledger to follow what others gave back just now.
	grace = 150 * time.Millisecond
)

// Book writes ledgers. The writers of one ledger in this process share a write: two hundred
// reviews at once are a few writes, not two hundred that conflict with each other.
type Book struct {
	client    client.Client
	namespace string

	mu    sync.Mutex
	desks map[string]*desk
}

// NewBook makes a book of the ledgers in a namespace. The client must not read from a cache.
func NewBook(c client.Client, namespace string) *Book {
	return &Book{client: c, namespace: namespace, desks: map[string]*desk{}}
}

// desk is where the writers of one ledger queue.
type desk struct {
	name string

	mu    sync.Mutex
	busy  bool
	queue []*work

	// latest is the ledger as last read or written; only whoever serves the desk uses it.
	latest *v1alpha1.Ledger
}

// act changes a ledger, of which it may be given several versions one after the other. changed
// has it written; not sure has it asked again with the ledger as it stands now.
type act func(*total.Ledger) (changed, sure bool)

type work struct {
	ctx  context.Context
	act  act
	done chan error
}

// Claim reviews a claim against the ledger of a holder, and writes what is let in before it
// returns; not on a dry run. It is refused only by the ledger as it stands now, and a dry run, which
// no write tells of a change by others, is let in only by that too. An error means that nothing was
// decided.
func (b *Book) Claim(ctx context.Context, h Holder, c total.Claim, dry bool) (webhook.Decision, error) {
	var decision webhook.Decision
	review := func(l *total.Ledger) (changed, sure bool) {
		d, entry := l.Review(c)
		decision = d
		if entry == nil || dry {
			return false, d.Verdict == webhook.Allow && !dry
		}
		l.Entries[c.Key] = *entry
		return true, true
	}
	// After an error the decision is not looked at: its act may still be running.
	if err := b.change(ctx, h, review); err != nil {
		return webhook.Decision{}, err
	}
	if decision.Verdict == webhook.Allow {
		return decision, nil
	}
	select {
	case <-ctx.Done():
		return decision, nil
	case <-time.After(grace):
	}
	if err := b.change(ctx, h, review); err != nil {
		return webhook.Decision{}, err
	}
	return decision, nil
}

// Release takes back a create that was let in at a time, where nothing else came of it.
func (b *Book) Release(ctx context.Context, h Holder, key total.Key, letIn time.Time) error {
	return b.change(ctx, h, func(l *total.Ledger) (changed, sure bool) {
		if e := l.Entries[key]; e.Coming != total.Creation || !e.LetIn.Equal(letIn) {
			return false, true
		}
		delete(l.Entries, key)
		return true, true
	})
}

// change has act done, together with those of others who ask at the same time.
func (b *Book) change(ctx context.Context, h Holder, a act) error {
	w := &work{ctx: ctx, act: a, done: make(chan error, 1)}
	d := b.desk(h.ledger())
	d.mu.Lock()
	d.queue = append(d.queue, w)
	serve := !d.busy
	d.busy = true
	d.mu.Unlock()
	if serve {
		go b.serve(d)
	}
	select {
	case err := <-w.done:
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("the ledger of %s is not there yet; the leading webhook replica makes it within seconds, try again: %w", h, err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the ledger of %s: %w", h, ctx.Err())
	}
}

func (b *Book) desk(name string) *desk {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.desks[name]
	if !ok {
		d = &desk{name: name}
		b.desks[name] = d
	}
	return d
}

// serve works until nobody waits.
func (b *Book) serve(d *desk) {
	for {
		d.mu.Lock()
		works := d.queue
		d.queue = nil
		d.busy = len(works) > 0
		d.mu.Unlock()
		if len(works) == 0 {
			return
		}
		works, err := b.batch(d, works)
		for _, w := range works {
			w.done <- err
		}
	}
}

// errAgain has a batch done anew.
var errAgain = errors.New("decide anew")

// batch does works on one version of the ledger and writes it once. It returns those whose
// callers still wait.
func (b *Book) batch(d *desk, works []*work) ([]*work, error) {
	for {
		works = slices.DeleteFunc(works, func(w *work) bool { return w.ctx.Err() != nil })
		if len(works) == 0 {
			return nil, nil
		}
		err := b.once(d, works)
		if !errors.Is(err, errAgain) {
			return works, err
		}
	}
}

// once reads where it must, decides, and writes where something changed.
func (b *Book) once(d *desk, works []*work) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	fresh := d.latest == nil
	if fresh {
		o := &v1alpha1.Ledger{}
		if err := b.client.Get(ctx, client.ObjectKey{Namespace: b.namespace, Name: d.name}, o); err != nil {
			return fmt.Errorf("get ledger %s: %w", d.name, err)
		}
		d.latest = o
	}
	l := fromAPI(d.latest)
	anyChanged, allSure := false, true
	for _, w := range works {
		changed, sure := w.act(&l)
		anyChanged, allSure = anyChanged || changed, allSure && sure
	}
	if !allSure && !fresh {
		d.latest = nil
		return errAgain
	}
	if !anyChanged {
		return nil
	}
	next := d.latest.DeepCopy()
	toAPI(l, &next.Data)
	d.latest = nil
	err := b.client.Update(ctx, next)
	if apierrors.IsConflict(err) {
		time.Sleep(rand.N(pause))
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("update ledger %s: %w", d.name, err)
	}
	d.latest = next
	return nil
}
