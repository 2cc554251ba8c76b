package runs

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/capacity/waiting"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// podOf is one of an owner, none if its kind is empty, that has run for some time by noon.
func podOf(kind, owner, name string, ran time.Duration, phase corev1.PodPhase) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name}}
	if kind != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: new(true)}}
	}
	pod.Status.Phase, pod.Status.StartTime = phase, &metav1.Time{Time: noon.Add(-ran)}
	if phase == corev1.PodSucceeded {
		for _, early := range []time.Duration{time.Second, 0} { // the last container counts
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(noon.Add(-early))}},
			})
		}
	}
	return pod
}

func TestTheOwnersKindSaysTheClass(t *testing.T) {
	fromRayJob := podOf("RayCluster", "tune-raycluster-x7k2p", "head", 0, corev1.PodPending)
	fromRayJob.Labels = map[string]string{fromRay: "RayJob"}
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want waiting.Class
	}{
		"a Job, also a JobSet's":       {podOf("Job", "train", "train-x7k2p", 0, corev1.PodPending), waiting.ShortBatch},
		"a job of Kubeflow's":          {podOf("PyTorchJob", "train", "train-worker-0", 0, corev1.PodPending), waiting.ShortBatch},
		"a RayJob's cluster":           {fromRayJob, waiting.ShortBatch},
		"a cluster of Ray's otherwise": {podOf("RayCluster", "shared", "head", 0, corev1.PodPending), ""},
		"a Deployment's ReplicaSet":    {podOf("ReplicaSet", "web-6f7d8c9b5d", "web-6f7d8c9b5d-x7k2p", 0, corev1.PodPending), waiting.SustainedService},
		"a StatefulSet":                {podOf("StatefulSet", "llm", "llm-0", 0, corev1.PodPending), waiting.SustainedService},
		"a kind that we do not know":   {podOf("Thing", "x", "x", 0, corev1.PodPending), ""},
		"bare":                         {podOf("", "", "notebook", 0, corev1.PodPending), ""},
	} {
		if got := New().Of(c.pod); got != (waiting.Run{Class: c.want}) {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

func TestEarlierRunsOfTheSameNameCount(t *testing.T) {
	const minute = time.Minute
	r := New()
	end := func(kind, owner, pod string, ran time.Duration) {
		r.Changed(podOf(kind, owner, pod, ran, corev1.PodRunning), podOf(kind, owner, pod, ran, corev1.PodSucceeded))
	}
	for i, ran := range []time.Duration{4 * minute, 6 * minute, 5 * minute} {
		end("Job", fmt.Sprint("nightly-2939485", i), "a", ran) // of a CronJob
		end("", "", fmt.Sprint("eval-", i), ran)               // bare, numbered by hand
		end("Job", "train-"+[]string{"x7k2p", "bcdfg", "24567"}[i], "a", ran*1000)
		r.Gone(podOf("ReplicaSet", "worker-6f7d8c9b5d", "a", ran, corev1.PodRunning), noon)
	}
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want waiting.Run
	}{
		"the next run of a CronJob":        {podOf("Job", "nightly-29394899", "b", 0, corev1.PodPending), waiting.Run{Class: waiting.ShortBatch, Usual: 5 * minute}},
		"a bare one":                       {podOf("", "", "eval-9", 0, corev1.PodPending), waiting.Run{Class: waiting.ShortBatch, Usual: 5 * minute}},
		"a Job that runs for days":         {podOf("Job", "train-zzzzz", "b", 0, corev1.PodPending), waiting.Run{Class: waiting.SustainedService, Usual: 5000 * minute}},
		"a later revision of a Deployment": {podOf("ReplicaSet", "worker-7c8d9f5b6c", "b", 0, corev1.PodPending), waiting.Run{Class: waiting.ShortBatch, Usual: 5 * minute}},
		"another name":                     {podOf("Job", "other", "b", 0, corev1.PodPending), waiting.Run{Class: waiting.ShortBatch}},
		"another kind":                     {podOf("StatefulSet", "nightly", "b", 0, corev1.PodPending), waiting.Run{Class: waiting.SustainedService}},
	} {
		if got := r.Of(c.pod); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	elsewhere := podOf("Job", "nightly-29394899", "b", 0, corev1.PodPending)
	elsewhere.Namespace = "web"
	if got := r.Of(elsewhere); got.Usual != 0 {
		t.Errorf("in another namespace: %+v", got)
	}
}

func TestWhatIsNoRunDoesNotCount(t *testing.T) {
	r := New()
	done, failed := podOf("Job", "a", "a", time.Minute, corev1.PodSucceeded), podOf("Job", "a", "a", time.Minute, corev1.PodFailed)
	evicted := podOf("Job", "a", "a", time.Minute, corev1.PodRunning)
	evicted.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
	never := podOf("Job", "a", "a", 0, corev1.PodSucceeded)
	never.Status.StartTime = nil
	for range enough {
		r.Changed(done, done) // told already
		r.Changed(nil, failed)
		r.Changed(nil, never)
		r.Gone(done, noon)
		r.Gone(evicted, noon)
		r.Gone(podOf("Job", "a", "a", 0, corev1.PodPending), noon)
		r.Gone(podOf("WarmPool", "a100", "a100-single-x7k2p", time.Minute, corev1.PodRunning), noon)
	}
	if len(r.names) != 0 {
		t.Errorf("%d names have runs, want none", len(r.names))
	}
	for range enough {
		r.Changed(nil, done) // it had ended when we began to look
	}
	if got := r.Of(done); got.Usual != time.Minute {
		t.Errorf("%+v, want runs of a minute", got)
	}
}

const enough = 3

func TestWhatIsRememberedIsBounded(t *testing.T) {
	r := New()
	for i := range mostNames + 10 {
		for range 2 * mostRuns {
			r.Changed(nil, podOf("Job", fmt.Sprintf("job-%da", i), "a", time.Minute, corev1.PodSucceeded))
		}
		r.Changed(nil, podOf("Job", "always", "a", time.Minute, corev1.PodSucceeded))
	}
	if len(r.names) != mostNames {
		t.Errorf("%d names, want %d", len(r.names), mostNames)
	}
	for n, known := range r.names {
		if len(known.took) > mostRuns {
			t.Errorf("%s has %d runs, want %d at most", n.stem, len(known.took), mostRuns)
		}
	}
	for stem, want := range map[string]bool{"always": true, "job-0a": false, fmt.Sprintf("job-%da", mostNames+9): true} {
		if _, is := r.names[name{"ml", "Job", stem}]; is != want {
			t.Errorf("%s is remembered: %t, want %t", stem, is, want)
		}
	}
}
