package reserver

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"forewarm.dev/capacity/waiting"
)

// TestPodsThatEndTellOfThoseThatWait of the same name.
func TestPodsThatEndTellOfThoseThatWait(t *testing.T) {
	r := takeoverReserver(t)
	r.options.Clock = clock.RealClock{}
	for i := range 3 {
		runs := gpuPod(fmt.Sprint("eval-", i), "1")
		runs.Status.Phase, runs.Status.StartTime = corev1.PodRunning, &metav1.Time{Time: time.Unix(0, 0)}
		ended := runs.DeepCopy()
		ended.Status.Phase = corev1.PodSucceeded
		ended.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Unix(240, 0)}}}}
		r.podChanged(nil, runs)
		r.podChanged(runs, ended)
		r.podChanged(ended, ended)
	}
	if got, want := r.runs.Of(gpuPod("eval-9", "1")), (waiting.Run{Class: waiting.ShortBatch, Usual: 4 * time.Minute}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
