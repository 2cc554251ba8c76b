// Package showback tells what warm capacity costs and what it is good for: per pool and owner,
// the capacity that placeholders have held, what that cost, and the waits for nodes that pods were
// spared. It only looks.
package showback

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
)

// tick is how often it is looked what is held; longest bounds the time that one look stands for,
// since a process that stood still knows nothing of it.
const (
	tick    = 15 * time.Second
	longest = time.Minute
)

// Options are what a Showback needs.
type Options struct {
	// Client reads from the informers.
	Client client.Reader
	// Informers tell of pod changes.
	Informers cache.Informers
	// PlaceholderNamespace is where the placeholder pods live.
	PlaceholderNamespace string
	// OwnerLabel is the label of Namespaces that names the owner; empty for the Namespace's name.
	OwnerLabel string
	// MaxOwners bounds the owners per pool.
	MaxOwners int
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	Clock      clock.WithTicker
	Log        logr.Logger
}

// Showback counts while its replica leads.
type Showback struct {
	options Options
	metrics metrics

	mu         sync.Mutex
	looked     time.Time
	classes    []demand.Class
	namespaces map[string]labels.Set
	pools      map[string]*account
	rooms      rooms
}

// New makes a Showback.
func New(o Options) *Showback {
	return &Showback{options: o, metrics: newMetrics(o.Registerer), pools: map[string]*account{}, rooms: rooms{}}
}

// NeedLeaderElection says that only the leader counts, so that nothing is counted twice.
func (s *Showback) NeedLeaderElection() bool { return true }

// Start counts until ctx ends.
func (s *Showback) Start(ctx context.Context) error {
	informer, err := s.options.Informers.GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			if pod := after.(*corev1.Pod); before.(*corev1.Pod).Spec.NodeName == "" && pod.Spec.NodeName != "" {
				s.bound(pod, s.options.Clock.Now())
			}
		},
		DeleteFunc: func(object any) {
			if pod, ok := object.(*corev1.Pod); ok {
				s.gone(pod, s.options.Clock.Now())
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	ticker := s.options.Clock.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := s.look(ctx, s.options.Clock.Now()); err != nil {
			s.options.Log.Error(err, "Idle capacity not counted")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// look counts the time since the last look, at what was held then, and sees what is held now.
func (s *Showback) look(ctx context.Context, now time.Time) error {
	var pools v1alpha1.WarmPoolList
	var pods corev1.PodList
	var namespaces corev1.NamespaceList
	for _, list := range []client.ObjectList{&pools, &pods, &namespaces} {
		if err := s.options.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	passed := min(max(now.Sub(s.looked), 0), longest)
	if s.looked.IsZero() {
		passed = 0
	}
	s.looked = now
	for name, a := range s.pools {
		a.pass(s.metrics, name, passed)
	}
	s.see(pools.Items, namespaces.Items)
	for i := range pods.Items {
		s.count(&pods.Items[i])
	}
	for name, a := range s.pools {
		a.begin(s.metrics, name)
	}
	s.rooms.forget(now)
	return nil
}

// see takes over what pools and Namespaces there are.
func (s *Showback) see(pools []v1alpha1.WarmPool, namespaces []corev1.Namespace) {
	s.namespaces = map[string]labels.Set{}
	for i := range namespaces {
		s.namespaces[namespaces[i].Name] = namespaces[i].Labels
	}
	before := s.pools
	s.classes, s.pools = nil, map[string]*account{}
	for i := range pools {
		pool := &pools[i]
		class, err := demand.Compile(pool)
		if err != nil {
			continue // the pool's own status says so
		}
		s.classes = append(s.classes, class)
		a := before[pool.Name]
		if a == nil {
			a = newAccount(s.options.MaxOwners)
		}
		a.see(pool)
		s.pools[pool.Name] = a
		delete(before, pool.Name)
	}
	for name := range before {
		s.metrics.forget(name)
	}
	demand.Sort(s.classes)
}

// count adds a pod to what its pool holds, or to what its owner asks for.
func (s *Showback) count(pod *corev1.Pod) {
	if demand.IsPlaceholder(pod, s.options.PlaceholderNamespace) {
		if a := s.pools[pod.Labels[v1alpha1.LabelPool]]; a != nil && pod.DeletionTimestamp == nil && placeholder.StageOf(pod) == capacity.Reserved {
			a.held[pod.Labels[v1alpha1.LabelChunk]]++
		}
		return
	}
	if placeholder.Terminal(pod) || len(pod.Spec.SchedulingGates) > 0 {
		return
	}
	if pool, amount := s.demandOf(pod); pool != "" {
		s.pools[pool].asks[s.owner(pod.Namespace)] += amount
	}
}

// demandOf is the pool that a pod belongs to, and how much of its resource the pod asks for; no
// name for none.
func (s *Showback) demandOf(pod *corev1.Pod) (pool string, amount float64) {
	at := demand.Owner(s.classes, pod, s.namespaces[pod.Namespace])
	if at < 0 {
		return "", 0
	}
	return s.classes[at].Pool, float64(quantity.OfPod(pod)[s.classes[at].Resource])
}

// owner is who a Namespace belongs to; empty where the label is not set.
func (s *Showback) owner(namespace string) string {
	if s.options.OwnerLabel == "" {
		return namespace
	}
	return s.namespaces[namespace][s.options.OwnerLabel]
}

// gone notes the room that a placeholder leaves, which held capacity until now.
func (s *Showback) gone(pod *corev1.Pod, now time.Time) {
	if !demand.IsPlaceholder(pod, s.options.PlaceholderNamespace) || placeholder.StageOf(pod) != capacity.Reserved {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pool := pod.Labels[v1alpha1.LabelPool]
	if a := s.pools[pool]; a != nil {
		s.rooms.open(place{pool, pod.Spec.NodeName}, float64(quantity.OfPod(pod)[a.resource]), now)
	}
}

// bound counts a wait that a pod was spared, where it goes to what a placeholder has left.
func (s *Showback) bound(pod *corev1.Pod, now time.Time) {
	if demand.IsPlaceholder(pod, s.options.PlaceholderNamespace) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pool, amount := s.demandOf(pod)
	a := s.pools[pool]
	if a == nil || !s.rooms.take(place{pool, pod.Spec.NodeName}, amount, now) {
		return
	}
	owner := a.known(s.owner(pod.Namespace))
	s.metrics.avoided.WithLabelValues(pool, owner).Inc()
	s.metrics.spared.WithLabelValues(pool, owner).Add(a.lead.Seconds())
}
