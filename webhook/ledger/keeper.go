package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

const (
	// settleTime is how long after its Namespace is labelled a new ledger refuses nothing: by then
	// every API server asks for reviews, and what was let in before has been shown.
	settleTime = 2 * time.Second
	// lifetime is longer than a request lives after its review: the API server ends it after 34 s.
	lifetime = 45 * time.Second
	// coalesce is how long changes are gathered before a ledger follows.
	coalesce = 20 * time.Millisecond
	// resync is how often kinds that were installed since are looked for, and every ledger is
	// looked at.
	resync = 30 * time.Second
	// giveUp is how long a watch that fails holds ledgers up.
	giveUp = 10 * time.Second
	// whileDisarmed is how soon it is looked whether quotas are wanted again.
	whileDisarmed = 5 * time.Second
)

// KeeperOptions say what a Keeper needs.
type KeeperOptions struct {
	Book *Book
	// Cached has an informer for the metadata of Namespaces.
	Cached client.Reader
	// Client writes, and must not read from a cache.
	Client client.Client
	Quotas corev1client.ResourceQuotasGetter
	// Claims finds what pods claim by DRA; nil where nothing is to be found.
	Claims Claims
	Live   dynamic.Interface
	Mapper meta.RESTMapper
	// Kinds are the kinds that are reviewed.
	Kinds []webhook.Kind
	// Namespace holds the ledgers.
	Namespace string
	// Excluded are the namespaces that are not reviewed.
	Excluded []string
	// Leading says whether this replica is the one that keeps.
	Leading func() bool
	// Disarmed says whether Forewarm was taken out of admission.
	Disarmed func(context.Context) (bool, error)
	// Events tells of holders that stand above a total.
	Events     events.EventRecorder
	Registerer prometheus.Registerer
	Log        logr.Logger
}

// Claims knows what claims ask for, and which classes of devices are GPUs. [Keeper.ClaimsChanged]
// is to be told of changes.
type Claims interface {
	Cached(ctx context.Context, namespace string, refs []webhook.ClaimRef) (webhook.Claims, error)
	Classes(ctx context.Context) (webhook.Classes, error)
}

// Keeper makes ledgers where totals are set, has them follow what there is while this replica
// leads, and removes them where the totals go.
type Keeper struct {
	KeeperOptions

	above *prometheus.GaugeVec

	mu   sync.Mutex
	term *term
}

// NewKeeper makes a keeper.
func NewKeeper(o KeeperOptions) *Keeper {
	return &Keeper{KeeperOptions: o, above: newAbove(o.Registerer)}
}

// NeedLeaderElection is false: Leading tells.
func (k *Keeper) NeedLeaderElection() bool { return false }

// NamespaceHandler feeds the keeper from an informer of Namespaces.
func (k *Keeper) NamespaceHandler() toolscache.ResourceEventHandler {
	see := func(seen any) {
		if unknown, ok := seen.(toolscache.DeletedFinalStateUnknown); ok {
			seen = unknown.Obj
		}
		o, ok := seen.(metav1.Object)
		k.mu.Lock()
		t := k.term
		k.mu.Unlock()
		if !ok || t == nil {
			return
		}
		if o.GetName() == metav1.NamespaceSystem {
			t.queue.Add(Holder{Kind: Cluster})
		}
		t.queue.Add(Holder{Kind: Namespace, Name: o.GetName()})
	}
	return toolscache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, o any) { see(o) }, DeleteFunc: see}
}

// ClaimsChanged has the ledger of a Namespace follow, or with none given those of all.
func (k *Keeper) ClaimsChanged(namespace string) {
	k.mu.Lock()
	t := k.term
	k.mu.Unlock()
	if t == nil {
		return
	}
	if namespace != "" {
		t.follow(Holder{Namespace, namespace})
		return
	}
	for _, h := range t.all() {
		t.follow(h)
	}
}

// Start keeps, each time that this replica leads.
func (k *Keeper) Start(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	stop := func() {}
	for {
		leads := k.Leading()
		k.mu.Lock()
		if leads && k.term == nil {
			var during context.Context
			during, stop = context.WithCancel(ctx)
			k.term = newTerm(k.KeeperOptions, k.above)
			go k.term.run(during)
		} else if !leads && k.term != nil {
			k.term = nil
			stop()
		}
		k.mu.Unlock()
		select {
		case <-ctx.Done():
			stop()
			return nil
		case <-tick.C:
		}
	}
}

// term is one time of leading.
type term struct {
	KeeperOptions
	above   *prometheus.GaugeVec
	queue   workqueue.TypedRateLimitingInterface[Holder]
	watches *watches

	mu      sync.Mutex
	holders map[Holder]*holding
	// kinds are those of the table, NodeClaims, NodePools and Ledgers, that are installed, in the
	// first of their versions that the server has.
	kinds []webhook.Kind

	// started is when each watch was asked for, and counts how many holders stand above a total;
	// only the worker uses them.
	started map[schema.GroupResource]time.Time
	counts  map[webhook.Measure]int
}

// holding is what the leader remembers of a holder. Only the worker looks into it.
type holding struct {
	// open is since when every growth is reviewed; zero before.
	open time.Time
	// claims are since when each claim was seen, by the leader's own clock.
	claims map[total.Key]sighting
	// devices are the GPUs that pod templates ask for by themselves, of what was seen last.
	devices int64
	// above are the totals that it stands above, as was seen last.
	above []total.Excess
}

type sighting struct{ letIn, seen time.Time }

func newTerm(o KeeperOptions, above *prometheus.GaugeVec) *term {
	t := &term{
		KeeperOptions: o, above: above, holders: map[Holder]*holding{}, started: map[schema.GroupResource]time.Time{}, counts: map[webhook.Measure]int{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[Holder](50*time.Millisecond, 10*time.Second)),
	}
	t.watches = &watches{live: o.Live, log: o.Log, changed: t.changed, ledgers: o.Namespace, all: map[schema.GroupResource]*watch{}}
	return t
}

// run works until ctx ends.
func (t *term) run(ctx context.Context) {
	t.Log.Info("Keeps the ledgers")
	defer t.queue.ShutDown()
	tick := time.NewTicker(resync)
	defer tick.Stop()
	for first := true; ; first = false {
		if err := t.look(ctx); err != nil && ctx.Err() == nil {
			t.Log.Error(err, "Ledgers are not looked for; it is tried again", "seconds", resync.Seconds())
		}
		if first {
			go t.work(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

var (
	// nodePools, ledgers and quotas are watched for what they are, not counted.
	nodePools = webhook.NodePools
	ledgers   = webhook.Kind{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Resource: "ledgers", Name: "Ledger"}
	quotas    = webhook.Kind{Version: "v1", Resource: "resourcequotas", Name: "ResourceQuota"}
)

// look finds the kinds that are installed, and every holder: those with a ledger, and those that
// should have one.
func (t *term) look(ctx context.Context) error {
	t.find()
	namespaces := &metav1.PartialObjectMetadataList{}
	namespaces.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "NamespaceList"})
	if err := t.Cached.List(ctx, namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list Namespaces: %w", err)
	}
	for i := range namespaces.Items {
		if o := &namespaces.Items[i]; o.Labels[v1alpha1.LabelTotals] != "" || len(totalsOf(o, Namespace)) > 0 {
			t.queue.Add(Holder{Kind: Namespace, Name: o.Name})
		}
	}
	t.queue.Add(Holder{Kind: Cluster})
	for _, kind := range []webhook.Kind{nodePools, ledgers} {
		if !t.installed(kind) {
			continue
		}
		if _, err := t.watches.ensure(ctx, kind); err != nil {
			return err
		}
	}
	list := &v1alpha1.LedgerList{}
	if err := t.Client.List(ctx, list, client.InNamespace(t.Namespace)); err != nil {
		return fmt.Errorf("list Ledgers: %w; apply the CRDs of Forewarm", err)
	}
	for _, l := range list.Items {
		h := holderOf(l.Name)
		t.holding(h)
		t.queue.Add(h)
	}
	return nil
}

// find looks which kinds are installed, and in which versions.
func (t *term) find() {
	var found []webhook.Kind
	for _, kind := range append(slices.Clone(t.Kinds), webhook.NodeClaims, nodePools, ledgers) {
		for _, kind.Version = range kind.Versions() {
			if _, err := t.Mapper.RESTMapping(schema.GroupKind{Group: kind.Group, Kind: kind.Name}, kind.Version); err == nil {
				found = append(found, kind)
				break
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kinds = found
}

func (t *term) installed(kind webhook.Kind) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.kinds, func(k webhook.Kind) bool { return resourceOf(k) == resourceOf(kind) })
}

// changed has the ledgers follow in which an object counts.
func (t *term) changed(kind webhook.Kind, o *object) {
	switch kind.Resource {
	case nodePools.Resource:
		t.queue.Add(Holder{NodePool, o.Name})
	case ledgers.Resource:
		t.follow(holderOf(o.Name))
	case webhook.NodeClaims.Resource:
		t.follow(Holder{NodePool, o.pool})
		t.follow(Holder{Kind: Cluster})
	default:
		t.follow(Holder{Namespace, o.Namespace})
	}
}

func (t *term) follow(h Holder) {
	if t.holds(h) {
		t.queue.AddAfter(h, coalesce)
	}
}

func (t *term) holds(h Holder) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holders[h] != nil
}

// all are the holders that have ledgers.
func (t *term) all() []Holder {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.holders))
}

func (t *term) work(ctx context.Context) {
	defer t.publish(nil)
	t.publish(nil)
	for {
		h, stop := t.queue.Get()
		if stop {
			return
		}
		after, err := t.keep(ctx, h)
		switch {
		case err != nil && ctx.Err() == nil:
			t.Log.Info("A ledger does not follow yet", "holder", h.String(), "reason", err.Error())
			t.queue.AddRateLimited(h)
		case after > 0:
			t.queue.Forget(h)
			t.queue.AddAfter(h, after)
		default:
			t.queue.Forget(h)
		}
		t.queue.Done(h)
	}
}

// totalsOf are the annotations of an object that set totals for a kind of holder.
func totalsOf(o metav1.Object, kind string) map[string]string {
	out := map[string]string{}
	for _, name := range (Holder{Kind: kind}).Totals() {
		if value, set := o.GetAnnotations()[name]; set {
			out[name] = value
		}
	}
	return out
}

// ready says whether all that counts for a kind of holder is shown. A kind that may not be
// watched is left out, after a while.
func (t *term) ready(ctx context.Context, kind string) (bool, error) {
	t.mu.Lock()
	kinds := slices.Clone(t.kinds)
	t.mu.Unlock()
	all := true
	for _, k := range kinds {
		if !(Holder{Kind: kind}).counts(k) {
			continue
		}
		w, err := t.watches.ensure(ctx, k)
		if err != nil {
			return false, err
		}
		shown, err := t.shown(w)
		if err != nil {
			t.Log.Error(err, "Objects of a kind count for no total; let the ClusterRole forewarm-webhook-parents get, list and watch it", "resource", k.Resource, "group", k.Group)
			continue
		}
		all = all && shown
	}
	return all, nil
}

// shown says whether a watch shows everything; the error is of one that has failed for long.
func (t *term) shown(w *watch) (bool, error) {
	synced, failed := w.synced()
	if synced || failed == nil {
		return synced, nil
	}
	resource := resourceOf(w.kind).GroupResource()
	if t.started[resource].IsZero() {
		t.started[resource] = time.Now()
	}
	if time.Since(t.started[resource]) < giveUp {
		return false, nil
	}
	return false, failed
}
