// Package reserver is the loop that keeps capacity warm: it observes nodes and pods,
// forecasts demand, plans, and keeps gated placeholder pods of which it ungates as many as
// are wanted. It holds still when it cannot see: nothing is ever deleted on missing data.
package reserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/coming"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/capacity/guards"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/replay"
	"forewarm.dev/capacity/room"
	"forewarm.dev/capacity/supply"
	"forewarm.dev/capacity/topology"
	"forewarm.dev/capacity/waiting/announcer"
	"forewarm.dev/capacity/waiting/runs"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/snapshot"
	"forewarm.dev/internal/tracing"
)

// Forecaster records demand and forecasts it.
type Forecaster interface {
	// Observe records the demand of a chunk at a time.
	Observe(ctx context.Context, pool forecaster.Pool, chunk string, at time.Time, demand float64) error
	// Forecast answers for the horizon, counted from now.
	Forecast(ctx context.Context, pool forecaster.Pool, chunk string, horizon []time.Duration, now time.Time) (forecaster.Answer, error)
	// History is the demand recorded so far.
	History(pool forecaster.Pool, chunk string) forecast.Series
	// Keep forgets all other pools.
	Keep(pools []string)
}

// Options are what a Reserver needs.
type Options struct {
	// Client writes, and reads from the informers.
	Client client.Client
	// Live reads from the API server.
	Live client.Reader
	// Informers tell of pod changes.
	Informers cache.Informers
	// Forecaster records demand and forecasts it.
	Forecaster Forecaster
	// Decisions keeps plans, with all that they were made of.
	Decisions *decisions.Log
	// Plans keeps what waits for an approval.
	Plans *approval.Plans
	// Chooser keeps the policy of each chunk.
	Chooser *chooser.Chooser
	// Prices knows what nodes cost.
	Prices *price.Prices
	// Loads follows Kueue's Workloads that wait for room; nil for none.
	Loads *topology.Watcher
	// Announcer tells pods that wait what they wait for.
	Announcer *announcer.Announcer
	// Events reports plans on the WarmPool.
	Events events.EventRecorder
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Tracer begins a trace with each cycle; nil begins none.
	Tracer *tracing.Tracer
	// Clock is real, except in tests.
	Clock clock.WithTicker
	// Log is the logger.
	Log logr.Logger
	// PlaceholderNamespace, PlaceholderImage and Priority say what placeholder pods are like.
	PlaceholderNamespace, PlaceholderImage string
	Priority                               int32
	// MaxChangesPerPlan bounds the creates, ungates and deletes, each, of one plan.
	MaxChangesPerPlan int
}

// Reserver is the loop. It runs on the leader only.
type Reserver struct {
	options Options
	cached  client.Client
	live    client.Reader
	log     logr.Logger
	metrics *metrics
	tracker *tracker
	memory  map[string]*memory
	guards  *guards.Guards
	finder  *coming.Finder
	asker   *supply.Asker
	runs    *runs.Runs
	// seen is what there is now.
	seen func(context.Context) (snapshot.Snapshot, error)
	// hurry are the pools that are due before their time.
	hurry hurry
	// urgent is told when a pod is stuck, and when a pool is in a hurry; attempts are the last ones to make
	// room for the pods that are stuck.
	urgent   chan struct{}
	attempts map[types.UID]capacity.Attempt
}

// memory is what the loop remembers of a pool between two cycles. A new leader starts
// without, and therefore releases nothing until a hold time has passed.
type memory struct {
	due   time.Time
	since time.Time
	// planned is when the last plan was made.
	planned time.Time
	// sampled is the interval of the last sample of demand.
	sampled time.Time
	wanted  map[string][]wantedAt
	uid     string
	// failed says that the last plan was not applied whole.
	failed bool
	// maxNodes are the last ceilings of the pool, its NodePool and the cluster that could be read, and
	// unread what was told of those that could not.
	maxNodes [3]*int64
	unread   [3]string
}

type wantedAt struct {
	at     time.Time
	wanted int64
}

// New makes a Reserver.
func New(o Options) *Reserver {
	return &Reserver{
		options: o, cached: o.Client, live: o.Live, log: o.Log,
		metrics: newMetrics(o.Registerer),
		tracker: newTracker(o.PlaceholderNamespace, o.Priority),
		memory:  map[string]*memory{},
		guards:  guards.New(o.Live, o.Client, o.PlaceholderNamespace, o.Priority),
		finder:  coming.NewFinder(o.Client, o.Live),
		asker:   supply.NewAsker(o.Live, o.PlaceholderNamespace),
		runs:    runs.New(),
		urgent:  make(chan struct{}, 1),
		seen:    func(ctx context.Context) (snapshot.Snapshot, error) { return snapshot.Take(ctx, o.Client) },
	}
}

// NeedLeaderElection says that only the leader runs the loop.
func (r *Reserver) NeedLeaderElection() bool { return true }

// tick is how often the loop looks whether a pool is due; intervals are at least as long.
const tick = time.Second

// Start runs the loop until ctx ends.
func (r *Reserver) Start(ctx context.Context) error {
	stores, err := snapshot.NewStores(ctx, r.options.Informers)
	if err := errors.Join(err, r.watchPods(ctx), r.watchNodes(ctx)); err != nil {
		return err
	}
	r.seen = func(context.Context) (snapshot.Snapshot, error) { return stores.Take(), nil }
	r.options.Loads.Wake(r.wake)
	ticker := r.options.Clock.NewTicker(tick)
	defer ticker.Stop()
	for {
		now := r.options.Clock.Now()
		r.takeOver(ctx, now)
		r.cycle(ctx, now)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		case <-r.urgent:
		}
	}
}

// watchPods lets pod events change the demand at once, so that peaks between two plans count.
func (r *Reserver) watchPods(ctx context.Context) error {
	informer, err := r.options.Informers.GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { r.podChanged(nil, object.(*corev1.Pod)) },
		UpdateFunc: func(before, after any) {
			r.podChanged(before.(*corev1.Pod), after.(*corev1.Pod))
		},
		DeleteFunc: func(object any) {
			if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = gone.Obj
			}
			if pod, ok := object.(*corev1.Pod); ok {
				r.tracker.forget(pod.UID)
				r.runs.Gone(pod, r.options.Clock.Now())
			}
		},
	})
	return err
}

func (r *Reserver) podChanged(before, after *corev1.Pod) {
	if demand.IsPlaceholder(after, r.options.PlaceholderNamespace) {
		if before != nil && !preempted(before) && preempted(after) {
			r.metrics.takeovers.WithLabelValues(after.Labels[v1alpha1.LabelPool], after.Labels[v1alpha1.LabelChunk]).Inc()
		}
		return
	}
	r.runs.Changed(before, after)
	stuck := r.tracker.observe(after)
	waits := unschedulable(after) && (before == nil || !unschedulable(before))
	if waits && r.hurry.add(hurryForPods, r.tracker.poolOf(after.UID)) || stuck {
		r.wake()
	}
}

// wake lets the loop run at once.
func (r *Reserver) wake() {
	select {
	case r.urgent <- struct{}{}:
	default: // the loop has been told
	}
}

func preempted(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Reason == corev1.PodReasonPreemptionByScheduler {
			return true
		}
	}
	return false
}

// cycle handles each pool that is due.
func (r *Reserver) cycle(ctx context.Context, now time.Time) {
	pools, err := r.listPools(ctx)
	if err != nil {
		r.failed("Observe", err)
		return
	}
	r.forgetGone(pools)
	if !r.anyDue(pools, now) {
		return
	}
	ctx, span := r.options.Tracer.Begin(ctx, "cycle")
	defer span.End()
	// 1 observe
	w, err := r.observe(ctx, pools)
	if err != nil {
		r.failed("Observe", err)
		r.tellBlind(ctx, pools, err, now)
		return
	}
	classes, broken := w.classes()
	r.tracker.rebuild(classes, w.namespaces, w.Pods)
	w.count(r.tracker)
	w.coming = r.announced(ctx, now)
	for _, pool := range inTurn(w.pools) {
		if !r.due(pool, now) {
			continue
		}
		started := r.options.Clock.Now()
		if err := broken[pool.Name]; err != nil {
			r.reportBroken(ctx, pool, err)
			continue
		}
		r.handle(ctx, w, pool, now)
		r.metrics.cycle.Observe(r.options.Clock.Since(started).Seconds())
	}
}

// handle runs one pool: 2 decide, 3 apply, 4 report.
func (r *Reserver) handle(ctx context.Context, w world, pool *v1alpha1.WarmPool, now time.Time) {
	ctx, span := tracing.Step(ctx, "pool")
	defer span.End()
	tracing.Note(ctx, tracing.Pool, pool.Name)
	seen, err := r.look(ctx, w, pool, now)
	if err != nil {
		tracing.Failed(ctx, err)
		r.metrics.errors.WithLabelValues("Forecast").Inc()
		r.log.Error(err, "Pool held still", "pool", pool.Name)
		r.reportBroken(ctx, pool, err)
		return
	}
	// 2 decide
	_, decides := tracing.Step(ctx, "decide")
	seen.input = replay.NewInput(seen.demand, seen.state, seen.limits, now)
	plan := seen.input.Plan()
	decides.End()
	r.remember(pool, plan, now)
	r.turn(pool, &seen, plan)
	decided, unkept := r.decided(ctx, pool, seen, plan)
	// 3 apply
	var applied outcome
	if pool.Spec.Mode.Acts() {
		w.asked[pool.Name] = plan.Nodes
		if applied.err = unkept; unkept == nil {
			applied = r.apply(ctx, w, pool, plan)
		}
		r.retry(pool, applied, now)
		seen.proposed = r.propose(ctx, pool, seen, plan)
	}
	// 4 report
	r.report(ctx, pool, seen, plan, applied)
	if unkept == nil {
		r.concluded(ctx, pool, decided, applied)
	}
	if pool.Spec.Mode.Acts() {
		r.speak(ctx, w, pool, seen)
	}
}

func (w world) classes() (classes []class, broken map[string]error) {
	broken = map[string]error{}
	for _, pool := range w.pools {
		c, err := newClass(pool)
		if err != nil {
			broken[pool.Name] = err
			continue
		}
		c.fitting = room.NewFitting(w.Snapshot, pool, c.Class, w.nodePoolsOf(pool))
		classes = append(classes, c)
	}
	return classes, broken
}

// failed counts and logs a cycle that was skipped: everything stays as it is.
func (r *Reserver) failed(act string, err error) {
	r.metrics.errors.WithLabelValues(act).Inc()
	r.log.Error(err, "Cycle skipped, nothing changed", "act", act)
}
