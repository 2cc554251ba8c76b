// Package announcer writes on pods that wait which WarmPool they wait for and when they are expected
// to start, as often as that moves and no more often than the API server should be asked.
package announcer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/waiting"
)

// perSecond bounds the writes, and burst those at once after a quiet time; each is one patch, and
// for a pod that is told for the first time one event.
const (
	perSecond = 10
	burst     = 50
)

// Announcer tells pods. It is not for concurrent use.
type Announcer struct {
	client client.Client
	events events.EventRecorder
	// said is what was written to pods that still wait, by pool: the informers may not know yet.
	said map[string]map[types.UID]waiting.Told
	// left is how many writes are left of the budget, as of at.
	left float64
	at   time.Time
}

// New makes an Announcer.
func New(c client.Client, recorder events.EventRecorder) *Announcer {
	return &Announcer{client: c, events: recorder, said: map[string]map[types.UID]waiting.Told{}, left: burst}
}

// News is what there is to tell the pods of one pool that wait.
type News struct {
	Pool *v1alpha1.WarmPool
	Pods []*corev1.Pod
	// Starts are when each of Pods is expected to start; zero for those that fit no node of the pool.
	Starts []time.Time
	// Why says what keeps the pool from having room; for people.
	Why string
	// Run is what is known of how long a pod will run; nil where nothing is of any.
	Run func(*corev1.Pod) waiting.Run
}

// Tell writes what is worth telling: pods that say nothing yet first, then those that are furthest
// from the truth. What the budget does not allow is left to the next call.
func (a *Announcer) Tell(ctx context.Context, news News, now time.Time) error {
	type change struct {
		pod        *corev1.Pod
		told, next waiting.Told
	}
	said := map[types.UID]waiting.Told{}
	var changes []change
	for i, pod := range news.Pods {
		told, next := a.toldOf(news.Pool.Name, pod), waiting.Told{Pool: news.Pool.Name, Start: news.Starts[i]}
		said[pod.UID] = told
		if told.Worth(next, now) {
			changes = append(changes, change{pod, told, next})
		}
	}
	a.said[news.Pool.Name] = said
	slices.SortStableFunc(changes, func(a, b change) int {
		return cmp.Compare(b.next.Start.Sub(b.told.Start).Abs(), a.next.Start.Sub(a.told.Start).Abs()) // from no time, it is centuries
	})
	var failed error
	for _, c := range changes {
		if !a.spend(now) {
			break
		}
		run := news.runOf(c.pod)
		if err := a.write(ctx, c.pod, c.next, run.Class); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		said[c.pod.UID] = c.next
		a.say(c.pod, news, c.told, c.next, run.Says(c.next.Start.Sub(now)))
	}
	return failed
}

func (n News) runOf(pod *corev1.Pod) waiting.Run {
	if n.Run == nil {
		return waiting.Run{}
	}
	return n.Run(pod)
}

// say tells by an event what a pod waits for, or that it waits in vain, when that is new.
func (a *Announcer) say(pod *corev1.Pod, news News, told, next waiting.Told, run string) {
	if run != "" {
		run = "; " + run
	}
	switch {
	case told.Pool == next.Pool && told.Start.IsZero() == next.Start.IsZero():
	case next.Start.IsZero():
		a.events.Eventf(pod, news.Pool, corev1.EventTypeWarning, v1alpha1.ReasonFitsNoNode, "Wait",
			"fits no node of WarmPool %s, whatever ends there, and is left out of its demand: lower its requests, or correct its node selector, affinity or tolerations", next.Pool)
	default:
		a.events.Eventf(pod, news.Pool, corev1.EventTypeNormal, v1alpha1.ReasonWaitingForPool, "Wait",
			"waits for a node of WarmPool %s, expected to start about %s: %s%s", next.Pool, stamp(next.Start), news.Why, run)
	}
}

// Keep forgets all pools but some.
func (a *Announcer) Keep(pools []string) {
	maps.DeleteFunc(a.said, func(pool string, _ map[types.UID]waiting.Told) bool { return !slices.Contains(pools, pool) })
}

// toldOf is what a pod says: what we wrote last, else what it carries.
func (a *Announcer) toldOf(pool string, pod *corev1.Pod) waiting.Told {
	if told, ok := a.said[pool][pod.UID]; ok {
		return told
	}
	told := waiting.Told{Pool: pod.Annotations[v1alpha1.AnnotationWaitingFor]}
	if at := pod.Annotations[v1alpha1.AnnotationExpectedStart]; at != "" {
		start, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return waiting.Told{}
		}
		told.Start = start
	}
	return told
}

// spend takes one write from the budget.
func (a *Announcer) spend(now time.Time) bool {
	if !a.at.IsZero() {
		a.left = min(a.left+perSecond*max(now.Sub(a.at).Seconds(), 0), burst)
	}
	a.at = now
	if a.left < 1 {
		return false
	}
	a.left--
	return true
}

// write patches the annotations of the pod with that UID, and of no other by its name. Its class is written with the
// rest: that alone is no reason to write.
func (a *Announcer) write(ctx context.Context, pod *corev1.Pod, told waiting.Told, class waiting.Class) error {
	says := map[string]any{v1alpha1.AnnotationWaitingFor: told.Pool, v1alpha1.AnnotationExpectedStart: nil, v1alpha1.AnnotationRunClass: nil}
	if class != "" {
		says[v1alpha1.AnnotationRunClass] = class
	}
	if !told.Start.IsZero() {
		says[v1alpha1.AnnotationExpectedStart] = stamp(told.Start)
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "annotations": says}})
	if err != nil {
		return err
	}
	target := &corev1.Pod{}
	target.Namespace, target.Name = pod.Namespace, pod.Name
	if err := client.IgnoreNotFound(a.client.Patch(ctx, target, client.RawPatch(types.MergePatchType, body))); err != nil {
		return fmt.Errorf("tell pod %s/%s what it waits for: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
