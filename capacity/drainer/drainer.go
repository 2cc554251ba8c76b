// Package drainer empties nodes that are about to be taken away, where a WarmPool asks for it and
// nobody else does: it cordons them and evicts their pods within the notice, critical ones once room
// for them stands elsewhere.
package drainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/snapshot"
)

// Options are what a Drainer needs.
type Options struct {
	// Client reads from the informers, cordons and evicts.
	Client client.Client
	// Events tells pods why they are evicted.
	Events     events.EventRecorder
	Registerer prometheus.Registerer
	Clock      clock.WithTicker
	Log        logr.Logger
	// PlaceholderNamespace is that of placeholder pods.
	PlaceholderNamespace string
}

// Drainer is the loop. It runs on the leader only.
type Drainer struct {
	Options
	evictions *prometheus.CounterVec
	// promised is room that evicted pods have not taken yet.
	promised []promise
	// looked is when nodes were looked at last, and said what was wrong then.
	looked time.Time
	said   string
}

// promise is the room of a pod that was evicted.
type promise struct {
	at time.Time
	capacity.Eviction
}

const (
	// every is how often it looks; some nodes leave after 30 seconds. While no pool asks for any to be
	// drained there may be cordons of ours to take back, and nothing that hurries.
	every     = time.Second
	everyIdle = 30 * time.Second
	// promiseHolds is how long a pod may take to come back: its controller's turn and the scheduler's.
	promiseHolds = 10 * time.Second
)

// New makes a Drainer.
func New(o Options) *Drainer {
	d := &Drainer{Options: o, evictions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "forewarm_capacity_evictions_total", Help: "Evictions of pods from nodes about to be taken away, by result: evicted, blocked by a PodDisruptionBudget, failed.",
	}, []string{"result"})}
	o.Registerer.MustRegister(d.evictions)
	for _, result := range []string{evicted, blocked, failed} {
		d.evictions.WithLabelValues(result) // counts from zero
	}
	return d
}

// NeedLeaderElection says that only the leader drains.
func (d *Drainer) NeedLeaderElection() bool { return true }

// Start runs the loop until ctx ends.
func (d *Drainer) Start(ctx context.Context) error {
	ticker := d.Clock.NewTicker(every)
	defer ticker.Stop()
	for {
		d.tell(d.cycle(ctx, d.Clock.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// tell counts what has failed, and says it once for as long as it is the same: a right that is missing
// is missing each second.
func (d *Drainer) tell(err error) {
	says := ""
	if err != nil {
		says = err.Error()
		d.evictions.WithLabelValues(failed).Inc()
	}
	if says != "" && says != d.said {
		d.Log.Error(err, "Nodes not drained, tried again each second")
	}
	d.said = says
}

// cycle drains all nodes that are to be.
func (d *Drainer) cycle(ctx context.Context, now time.Time) error {
	// 1 observe
	var pools v1alpha1.WarmPoolList
	if err := d.Client.List(ctx, &pools); err != nil {
		return fmt.Errorf("list WarmPools: %w", err)
	}
	if !slices.ContainsFunc(pools.Items, drains) && now.Sub(d.looked) < everyIdle {
		return nil
	}
	d.looked = now
	var nodes corev1.NodeList
	if err := d.Client.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	going, back := sortNodes(pools.Items, nodes.Items)
	if len(going)+len(back) == 0 {
		return nil
	}
	all, err := snapshot.Take(ctx, d.Client)
	if err != nil {
		return err
	}
	// 2 decide
	var errs []error
	var cordoned []goingNode
	for _, g := range going {
		if g.since, err = d.cordon(ctx, g.node, now); err != nil {
			errs = append(errs, err)
			continue // its pods could come back to it
		}
		cordoned = append(cordoned, g)
	}
	d.promised = slices.DeleteFunc(d.promised, func(p promise) bool { return now.Sub(p.at) > promiseHolds })
	view := view{Snapshot: all, placeholders: d.PlaceholderNamespace}
	evictions := capacity.Evict(view.pods(cordoned), view.rooms(d.promised), now)
	// 3 apply, 4 report
	for _, eviction := range evictions {
		errs = append(errs, d.evict(ctx, view.named[eviction.Pod.Name], eviction, now))
	}
	for _, node := range back {
		errs = append(errs, d.uncordon(ctx, node))
	}
	return errors.Join(errs...)
}

// byOthers follows the time in the annotation of a node that somebody else had cordoned before.
const byOthers = " cordoned by others"

// cordon keeps new pods off a node, and notes since when it is about to go, for the next leader.
func (d *Drainer) cordon(ctx context.Context, node *corev1.Node, now time.Time) (time.Time, error) {
	noted, others := strings.CutSuffix(node.Annotations[v1alpha1.AnnotationInterruptedAt], byOthers)
	since, err := time.Parse(time.RFC3339, noted)
	switch {
	case err != nil:
		since = now
	case node.Spec.Unschedulable || others:
		return since, nil
	}
	note := since.UTC().Format(time.RFC3339)
	if node.Spec.Unschedulable {
		note += byOthers
	}
	body := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}},"spec":{"unschedulable":true}}`, v1alpha1.AnnotationInterruptedAt, note)
	if err := d.Client.Patch(ctx, nodeNamed(node.Name), client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		return since, fmt.Errorf("cordon node %s: %w", node.Name, err)
	}
	d.Log.Info("Node cordoned, it is about to be taken away", "node", node.Name)
	return since, nil
}

// uncordon takes back a cordon of ours on a node that stays after all.
func (d *Drainer) uncordon(ctx context.Context, node *corev1.Node) error {
	body := fmt.Sprintf(`{"metadata":{"annotations":{%q:null}},"spec":{"unschedulable":null}}`, v1alpha1.AnnotationInterruptedAt)
	if strings.HasSuffix(node.Annotations[v1alpha1.AnnotationInterruptedAt], byOthers) {
		body = fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, v1alpha1.AnnotationInterruptedAt)
	}
	if err := d.Client.Patch(ctx, nodeNamed(node.Name), client.RawPatch(types.MergePatchType, []byte(body))); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("uncordon node %s: %w", node.Name, err)
	}
	d.Log.Info("Node stays after all, what was written on it is taken back", "node", node.Name)
	return nil
}

func nodeNamed(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// Results of evictions.
const (
	evicted = "evicted"
	blocked = "blocked"
	failed  = "failed"
)

// evict asks for the eviction of a pod. One that a PodDisruptionBudget blocks is tried again.
func (d *Drainer) evict(ctx context.Context, pod *corev1.Pod, eviction capacity.Eviction, now time.Time) error {
	err := d.Client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
	})
	switch {
	case apierrors.IsTooManyRequests(err):
		d.evictions.WithLabelValues(blocked).Inc()
		return nil
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return nil // it is gone, or another has its name
	case err != nil:
		return fmt.Errorf("evict pod %s: %w", klog.KObj(pod), err)
	}
	d.evictions.WithLabelValues(evicted).Inc()
	if eviction.Node != "" {
		d.promised = append(d.promised, promise{now, eviction})
	}
	room := cmp.Or(eviction.Node, "none")
	d.Log.Info("Pod evicted", "pod", klog.KObj(pod), "node", pod.Spec.NodeName, "room", room)
	d.Events.Eventf(pod, nil, corev1.EventTypeNormal, v1alpha1.ReasonNodeGoes, "Evict", "node %s is about to be taken away; room for this pod: %s", pod.Spec.NodeName, room)
	return nil
}
