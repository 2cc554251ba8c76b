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
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Pods are some that will start together.
type Pods struct {
	// At is when.
	At time.Time
	// Pod is one of them, and Count how many there are.
	Pod   *corev1.Pod
	Count int64
}

// List are all that start until a time, the earliest first.
func List(ctx context.Context, cached client.Client, live client.Reader, now, until time.Time) ([]Pods, error) {
	var crons batchv1.CronJobList
	if err := cached.List(ctx, &crons, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list CronJobs: %w", err)
	}
	all, err := workloads(ctx, cached.RESTMapper(), live, now)
	if err != nil {
		return nil, err
	}
	for i := range crons.Items {
		all = append(all, runs(&crons.Items[i], now, until)...)
	}
	slices.SortStableFunc(all, func(a, b Pods) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.Pod.Namespace+"/"+a.Pod.Name, b.Pod.Namespace+"/"+b.Pod.Name)
	})
	return all, nil
}

// mostRuns bounds the runs of one CronJob that are looked at.
const mostRuns = 10

// runs are the next ones of a CronJob, read as its controller reads them. Where runs must not overlap
// only one counts, and none while one is on: its pods are demand already.
func runs(job *batchv1.CronJob, now, until time.Time) []Pods {
	schedule := job.Spec.Schedule
	if zone := job.Spec.TimeZone; zone != nil {
		schedule = "TZ=" + *zone + " " + schedule
	}
	times, err := cron.ParseStandard(schedule)
	if err != nil || job.Spec.Suspend != nil && *job.Spec.Suspend || !job.DeletionTimestamp.IsZero() {
		return nil
	}
	one, most := job.Spec.JobTemplate.Spec, mostAtOnce(job)
	var found []Pods
	for at := times.Next(now); len(found) < most && !at.IsZero() && !at.After(until); at = times.Next(at) {
		found = append(found, Pods{At: at, Pod: podOf(job.ObjectMeta, one.Template), Count: parallel(one)})
	}
	return found
}

// mostAtOnce is how many runs count.
func mostAtOnce(job *batchv1.CronJob) int {
	switch {
	case job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent && job.Spec.ConcurrencyPolicy != batchv1.ReplaceConcurrent:
		return mostRuns
	case len(job.Status.Active) > 0:
		return 0
	default:
		return 1
	}
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
