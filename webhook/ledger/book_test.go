package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

var team = Holder{Namespace, "team"}

// store is an API server with the ledger of team; writes counts what is asked of it.
func store(t *testing.T, funcs interceptor.Funcs) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	l := &v1alpha1.Ledger{ObjectMeta: metav1.ObjectMeta{Namespace: "forewarm-system", Name: team.ledger()}, Data: v1alpha1.LedgerData{Complete: true}}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(l).WithStatusSubresource(l).WithInterceptorFuncs(funcs).Build()
}

func claim(name string, replicas int64, limit string) total.Claim {
	return total.Claim{
		Object: webhook.Object{Kind: "Deployment", Namespace: "team", Name: name}, Key: total.KeyOf("apps", "deployments", name),
		New: webhook.Amounts{Replicas: replicas}, Now: time.Unix(1000, 0),
		Totals: []webhook.Setting{{On: webhook.Object{Kind: "Namespace", Name: "team"}, Annotation: webhook.MaxTotalReplicas, Set: true, Value: limit}},
	}
}

func read(t *testing.T, c client.Client) total.Ledger {
	t.Helper()
	l := &v1alpha1.Ledger{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "forewarm-system", Name: team.ledger()}, l); err != nil {
		t.Fatal(err)
	}
	return fromAPI(l)
}

// TestWriters: three processes with 200 writers let in just the total, by far fewer writes.
func TestWriters(t *testing.T) {
	var writes atomic.Int64
	c := store(t, interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.UpdateOption) error {
		writes.Add(1)
		time.Sleep(2 * time.Millisecond) // as a real one takes
		return c.Update(ctx, o, options...)
	}})
	books := []*Book{NewBook(c, "forewarm-system"), NewBook(c, "forewarm-system"), NewBook(c, "forewarm-system")}
	var allowed, denied atomic.Int64
	var writers sync.WaitGroup
	for i := range 200 {
		writers.Go(func() {
			d, err := books[i%3].Claim(t.Context(), team, claim(fmt.Sprint(i), 1, "100"), false)
			switch {
			case err != nil:
				t.Error(err)
			case d.Verdict == webhook.Allow:
				allowed.Add(1)
			default:
				denied.Add(1)
			}
		})
	}
	writers.Wait()
	if n := len(read(t, c).Entries); allowed.Load() != 100 || denied.Load() != 100 || n != 100 {
		t.Errorf("%d allowed, %d denied, %d entries, want 100 each", allowed.Load(), denied.Load(), n)
	}
	if writes.Load() > 60 {
		t.Errorf("%d writes for 100 claims", writes.Load())
	}
}

// TestRefusedByTheLedgerAsItStands: what this process knows of a ledger refuses nobody.
func TestRefusedByTheLedgerAsItStands(t *testing.T) {
	c := store(t, interceptor.Funcs{})
	mine, other := NewBook(c, "forewarm-system"), NewBook(c, "forewarm-system")
	for _, step := range []func() (webhook.Decision, error){
		func() (webhook.Decision, error) { return mine.Claim(t.Context(), team, claim("a", 5, "5"), false) },
		func() (webhook.Decision, error) {
			return webhook.Decision{Verdict: webhook.Allow}, other.Release(t.Context(), team, total.KeyOf("apps", "deployments", "a"), time.Unix(1000, 0))
		},
		func() (webhook.Decision, error) { return mine.Claim(t.Context(), team, claim("b", 5, "5"), false) },
	} {
		if d, err := step(); err != nil || d.Verdict != webhook.Allow {
			t.Fatalf("decision %+v, error %v", d, err)
		}
	}
	if d, err := other.Claim(t.Context(), team, claim("c", 1, "5"), false); err != nil || d.Verdict != webhook.Deny {
		t.Errorf("decision %+v, error %v, want a denial", d, err)
	}
}

func TestDryRun(t *testing.T) {
	c := store(t, interceptor.Funcs{Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
		return errors.New("a dry run writes")
	}})
	b := NewBook(c, "forewarm-system")
	for replicas, want := range map[int64]webhook.Verdict{5: webhook.Allow, 6: webhook.Deny} {
		if d, err := b.Claim(t.Context(), team, claim("a", replicas, "5"), true); err != nil || d.Verdict != want {
			t.Errorf("%d: decision %+v, error %v, want %s", replicas, d, err, want)
		}
	}
}

// TestDryRunByTheLedgerAsItStands: what others have written since is in the answer to a dry run.
func TestDryRunByTheLedgerAsItStands(t *testing.T) {
	c := store(t, interceptor.Funcs{})
	mine, other := NewBook(c, "forewarm-system"), NewBook(c, "forewarm-system")
	for _, step := range []struct {
		book *Book
		name string
		dry  bool
		want webhook.Verdict
	}{
		{mine, "a", true, webhook.Allow}, {other, "b", false, webhook.Allow}, {mine, "a", true, webhook.Deny},
	} {
		if d, err := step.book.Claim(t.Context(), team, claim(step.name, 5, "5"), step.dry); err != nil || d.Verdict != step.want {
			t.Errorf("%s: decision %+v, error %v, want %s", step.name, d, err, step.want)
		}
	}
}

// TestFailures: nothing is let in that is not written.
func TestFailures(t *testing.T) {
	gone := &v1alpha1.Ledger{}
	cases := map[string]struct {
		update func(context.Context) error
		holder Holder
		want   string
	}{
		"no ledger":           {nil, Holder{Namespace, "other"}, "the ledger of Namespace other is not there yet"},
		"a write that fails":  {func(context.Context) error { return apierrors.NewInternalError(errors.New("no space")) }, team, "no space"},
		"a write without end": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, team, "wait for the ledger of Namespace team"},
		"conflicts without end": {func(context.Context) error {
			return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("ledgers").GroupResource(), gone.Name, nil)
		}, team, "wait for the ledger of Namespace team"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			api := store(t, interceptor.Funcs{Update: func(ctx context.Context, _ client.WithWatch, _ client.Object, _ ...client.UpdateOption) error {
				return c.update(ctx)
			}})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			d, err := NewBook(api, "forewarm-system").Claim(ctx, c.holder, claim("a", 1, "5"), false)
			if err == nil || !strings.Contains(err.Error(), c.want) || d.Verdict != "" {
				t.Errorf("decision %+v, error %v, want %q", d, err, c.want)
			}
		})
	}
}

func TestHolders(t *testing.T) {
	for _, h := range []Holder{{Namespace, "team"}, {NodePool, "gpu.a"}, {Kind: Cluster}} {
		if got := holderOf(h.ledger()); got != h {
			t.Errorf("%s: %+v, want %+v", h.ledger(), got, h)
		}
	}
}
