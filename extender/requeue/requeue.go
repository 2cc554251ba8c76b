// Package requeue has the scheduler try pods again that it would leave alone for five minutes: by a
// touch, or by deleting the placeholders that they wait for.
package requeue

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

const (
	// every bounds how often something is written: 50 times a second.
	every = 20 * time.Millisecond
	// lookEvery is how often those are looked for who wait in vain.
	lookEvery = time.Second
	// writeWithin bounds one write.
	writeWithin = 5 * time.Second
)

// Requeuer writes what the index says. Every replica touches: they write the same, and the second
// changes nothing. Placeholders are deleted by the replica that was asked about their taker.
type Requeuer struct {
	Index   *handler.Index
	Client  client.Client
	Metrics *metrics.Metrics
	Log     logr.Logger
}

// NeedLeaderElection says that every replica does this.
func (r *Requeuer) NeedLeaderElection() bool { return false }

// Start goes on until ctx ends. It touches and takes in turn, so that neither waits for the other.
func (r *Requeuer) Start(ctx context.Context) error {
	pace, look := time.NewTicker(every), time.NewTicker(lookEvery)
	defer pace.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		case <-r.Index.Woken():
		}
		for turn := []func(context.Context) bool{r.take, r.touch}; len(turn) > 0; {
			next := turn[0]
			turn = turn[1:]
			if !next(ctx) {
				continue
			}
			turn = append(turn, next)
			select {
			case <-ctx.Done():
				return nil
			case <-pace.C:
			}
		}
	}
}

// touch touches one pod that a pool has let go; false if none is due.
func (r *Requeuer) touch(ctx context.Context) bool {
	pod, value, ok := r.Index.Due()
	if !ok {
		return false
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationRequeued: value}}})
	if err == nil {
		target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
		ctx, cancel := context.WithTimeout(ctx, writeWithin)
		defer cancel()
		err = client.IgnoreNotFound(r.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)))
	}
	if err != nil {
		r.Index.Untouched(pod)
		r.Log.Error(err, "Pod not touched; trying again later, and the scheduler retries it within five minutes", "pod", pod.NamespacedName)
	}
	r.Metrics.Touched(err)
	return true
}

// take deletes the placeholders that one pod waits for; false if none does.
func (r *Requeuer) take(ctx context.Context) bool {
	pod, placeholders, ok := r.Index.Overdue()
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	for _, p := range placeholders {
		target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}
		err := client.IgnoreNotFound(r.Client.Delete(ctx, target, client.GracePeriodSeconds(0), client.Preconditions{UID: &p.UID}))
		if err != nil {
			r.Index.Unsent(p.UID)
			r.Log.Error(err, "Placeholder not deleted; the scheduler retries who waits for it within five minutes", "placeholder", p.NamespacedName, "pod", pod)
		} else {
			r.Log.Info("Deleted a placeholder for a pod that was not tried again", "placeholder", p.NamespacedName, "pod", pod)
		}
		r.Metrics.Took(err)
	}
	return true
}
