// Package runs remembers for how long pods have run, so as to tell of others of the same owner whether they are a
// short batch or a sustained service.
package runs

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/capacity/waiting"
)

const (
	// mostRuns are those that count of one name, the last ones, and mostNames bounds the names.
	mostRuns  = 9
	mostNames = 5_000
)

// classes are what owners of pods say by their kind, beside all whose kind ends in Job. A new one is a row here.
var classes = map[string]waiting.Class{
	"Workflow": waiting.ShortBatch, "TaskRun": waiting.ShortBatch, "PodGroup": waiting.ShortBatch, "SparkApplication": waiting.ShortBatch,
	"ReplicaSet": waiting.SustainedService, "StatefulSet": waiting.SustainedService, "ReplicationController": waiting.SustainedService,
	"Deployment": waiting.SustainedService, "DaemonSet": waiting.SustainedService, "LeaderWorkerSet": waiting.SustainedService,
	"CloneSet": waiting.SustainedService, "Rollout": waiting.SustainedService, "RayService": waiting.SustainedService,
	"InferenceService": waiting.SustainedService, "Node": waiting.SustainedService,
}

// fromRay is how KubeRay says for what it has made a RayCluster, which is the owner of its pods.
const fromRay = "ray.io/originated-from-crd"

// Runs remembers them. It is for concurrent use.
type Runs struct {
	mu    sync.Mutex
	names map[name]*ran
	count int // of all runs so far
}

// name is what pods that do the same have in common, as far as can be seen.
type name struct{ namespace, kind, stem string }

// ran are the last runs of a name, and the count of all runs at the last of them.
type ran struct {
	took []time.Duration
	last int
}

// New makes one that remembers nothing.
func New() *Runs { return &Runs{names: map[name]*ran{}} }

// Changed notes a pod that has come to its end, by itself and well; before is nil for one that is new to us.
func (r *Runs) Changed(before, after *corev1.Pod) {
	if after.Status.Phase == corev1.PodSucceeded && (before == nil || before.Status.Phase != corev1.PodSucceeded) {
		r.note(after, ended(after))
	}
}

// Gone notes a pod that was running until it was deleted. One that was evicted or preempted has not ended.
func (r *Runs) Gone(pod *corev1.Pod, now time.Time) {
	disrupted := func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	}
	if pod.Status.Phase == corev1.PodRunning && !slices.ContainsFunc(pod.Status.Conditions, disrupted) {
		r.note(pod, now)
	}
}

func (r *Runs) note(pod *corev1.Pod, end time.Time) {
	start := pod.Status.StartTime
	if start == nil || !end.After(start.Time) {
		return
	}
	of := nameOf(pod)
	if of.kind == "WarmPool" { // a placeholder
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	known := r.names[of]
	if known == nil {
		r.forgetOne()
		known = &ran{}
		r.names[of] = known
	}
	known.took = append(known.took[max(len(known.took)-mostRuns+1, 0):], end.Sub(start.Time))
	known.last = r.count
}

// forgetOne makes place for a name more: that goes which has not run for longest.
func (r *Runs) forgetOne() {
	if len(r.names) < mostNames {
		return
	}
	oldest, at := name{}, r.count
	for n, known := range r.names {
		if known.last < at {
			oldest, at = n, known.last
		}
	}
	delete(r.names, oldest)
}

// Of is what is known of how long a pod will run.
func (r *Runs) Of(pod *corev1.Pod) waiting.Run {
	of := nameOf(pod)
	r.mu.Lock()
	defer r.mu.Unlock()
	var earlier []time.Duration
	if known := r.names[of]; known != nil {
		earlier = known.took
	}
	return waiting.RunOf(classOf(pod, of.kind), earlier)
}

// classOf is what the kind of its owner says of a pod.
func classOf(pod *corev1.Pod, kind string) waiting.Class {
	if kind == "RayCluster" {
		kind = pod.Labels[fromRay]
	}
	if strings.HasSuffix(kind, "Job") {
		return waiting.ShortBatch
	}
	return classes[kind]
}

// generated is what controllers and people append to names to tell one run from the next: a random suffix of
// Kubernetes' letters, a revision, a number, a time.
var generated = regexp.MustCompile(`(-([bcdfghjklmnpqrstvwxz2456789]{5,10}|[0-9]+))+$`)

// nameOf is that of its owner, and of itself where it has none, without what is generated.
func nameOf(pod *corev1.Pod) name {
	of := name{namespace: pod.Namespace, stem: pod.Name}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		of.kind, of.stem = owner.Kind, owner.Name
	}
	of.stem = generated.ReplaceAllString(of.stem, "")
	return of
}

// ended is when the last container of a pod ended; zero where that is not said.
func ended(pod *corev1.Pod) time.Time {
	var last time.Time
	for _, c := range pod.Status.ContainerStatuses {
		if end := c.State.Terminated; end != nil && end.FinishedAt.After(last) {
			last = end.FinishedAt.Time
		}
	}
	return last
}
