// Package coming finds pods that do not exist yet, but whose start is known: the next runs of
// CronJobs, and Kueue's Workloads that have their quota and wait for the rest.
package coming

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/capacity/kueue"
)

// Pods are some that will start together.
type Pods struct {
	// At is when.
	At time.Time
	// Pod is one of them, and Count how many there are.
	Pod   *corev1.Pod
	Count int64
}

// Future is what will start, and what bounds it.
type Future struct {
	// Pods are all that start until a time, the earliest first.
	Pods []Pods
	// Stale says that it could not be read anew: it is what was found last, and there may be more.
	Stale bool
	// unread says why it could not be read anew, and as of when it is; empty where it could.
	unread string
	asOf   time.Time

	quotas     []corev1.ResourceQuota
	namespaces []corev1.Namespace
}

const (
	// patience is how long is waited for an informer: without the right to list and watch it never has its
	// objects, and who looks must go on.
	patience = 2 * time.Second
	// patienceLive is how long is waited for Workloads, of which there may be many.
	patienceLive = 10 * time.Second
	// lookAgain is how long after a look that failed the next one is made, and how long after all Workloads
	// were looked through this is done again.
	lookAgain = 30 * time.Second
	// lasts is for how long what was found counts where it cannot be read anew.
	lasts = time.Hour
)

// Finder finds them. It is not for concurrent use.
type Finder struct {
	cached client.Client
	live   client.Reader
	// failed is when a look failed last, and last is what was found at the time found, at first nothing.
	failed, found time.Time
	last          Future
	// unread is why that look failed.
	unread string
	// searched is when all Workloads were looked through, and reserved are those that had their quota then.
	searched time.Time
	reserved []client.ObjectKey
}

// NewFinder makes a Finder. cached reads from informers, live from the API server.
func NewFinder(cached client.Client, live client.Reader) *Finder {
	return &Finder{cached: cached, live: live}
}

// Find finds what starts until a time. Where that fails it is stale for a while: what was found last, and it
// is not tried again at once.
func (f *Finder) Find(ctx context.Context, now, until time.Time) (Future, error) {
	if f.found.IsZero() {
		f.found = now
	}
	if now.Sub(f.failed) < lookAgain {
		return f.stale(now), nil
	}
	future, err := f.find(ctx, now, until)
	if err != nil {
		f.failed, f.unread = now, err.Error()
		return f.stale(now), err
	}
	f.last, f.found, f.failed, f.unread = future, now, time.Time{}, ""
	return future, nil
}

// stale is what was found last, less the runs that have begun since, whose pods are demand by now; nothing once
// that is too long ago.
func (f *Finder) stale(now time.Time) Future {
	if now.Sub(f.found) >= lasts {
		return Future{unread: f.unread, asOf: f.found}
	}
	future := f.last
	future.Stale, future.unread, future.asOf = true, f.unread, f.found
	future.Pods = slices.DeleteFunc(slices.Clone(future.Pods), func(p Pods) bool { return p.At.After(f.found) && !p.At.After(now) })
	return future
}

func (f *Finder) find(ctx context.Context, now, until time.Time) (future Future, err error) {
	var crons batchv1.CronJobList
	if err := f.list(ctx, &crons); err != nil {
		return future, fmt.Errorf("list CronJobs: %w", err)
	}
	if future.Pods, err = f.workloads(ctx, now); err != nil {
		return future, err
	}
	for i := range crons.Items {
		if run, ok := next(&crons.Items[i], now, until); ok {
			future.Pods = append(future.Pods, run)
		}
	}
	if len(future.Pods) == 0 {
		return future, nil
	}
	slices.SortStableFunc(future.Pods, func(a, b Pods) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.Pod.Namespace+"/"+a.Pod.Name, b.Pod.Namespace+"/"+b.Pod.Name)
	})
	return f.bounded(ctx, future)
}

// list reads from informers.
func (f *Finder) list(ctx context.Context, into client.ObjectList) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f.cached.List(ctx, into, client.UnsafeDisableDeepCopy)
}

// queueName is the label of what Kueue queues: it starts once there is quota, and is known as a Workload then.
const queueName = kueue.Group + "/queue-name"

// next is the next run of a CronJob, read as its controller reads it; none while one is on, whose pods
// are demand already, and of Jobs that are made suspended or for a queue of Kueue's. Later runs do not count: as
// a rule they take up what those before leave.
func next(job *batchv1.CronJob, now, until time.Time) (Pods, bool) {
	schedule := job.Spec.Schedule
	if zone := job.Spec.TimeZone; zone != nil {
		schedule = "TZ=" + *zone + " " + schedule
	}
	times, err := cron.ParseStandard(schedule)
	one := job.Spec.JobTemplate.Spec
	if err != nil || ptr.Deref(job.Spec.Suspend, false) || ptr.Deref(one.Suspend, false) || queued(job.Spec.JobTemplate) ||
		!job.DeletionTimestamp.IsZero() || len(job.Status.Active) > 0 {
		return Pods{}, false
	}
	at := times.Next(now)
	return Pods{At: at, Pod: podOf(job.ObjectMeta, one.Template), Count: parallel(one)}, !at.IsZero() && !at.After(until)
}

// queued tells whether a Job, or each of its pods, waits for a queue of Kueue's.
func queued(job batchv1.JobTemplateSpec) bool {
	return job.Labels[queueName] != "" || job.Spec.Template.Labels[queueName] != ""
}

// parallel is how many pods of a Job run at once.
func parallel(job batchv1.JobSpec) int64 {
	count := int64(1)
	if job.Parallelism != nil {
		count = int64(*job.Parallelism)
	}
	if job.Completions != nil {
		count = min(count, int64(*job.Completions))
	}
	return count
}

// podOf is a pod as its template makes it.
func podOf(owner metav1.ObjectMeta, template corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = owner.Namespace, owner.Name
	return pod
}
