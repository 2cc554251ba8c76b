package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/extender/handler"
)

// TestAnExplanationTellsWhatThePodWaitsFor, as the reserver has written it there.
func TestAnExplanationTellsWhatThePodWaitsFor(t *testing.T) {
	for want, says := range map[string]map[string]string{
		"": nil,
		"waits     for WarmPool a100, expected to start about 2026-12-01T12:04:00Z": {
			v1alpha1.AnnotationWaitingFor: "a100", v1alpha1.AnnotationExpectedStart: "2026-12-01T12:04:00Z",
		},
		"waits     for WarmPool a100, expected to start about 2026-12-01T12:04:00Z; short-batch": {
			v1alpha1.AnnotationWaitingFor: "a100", v1alpha1.AnnotationExpectedStart: "2026-12-01T12:04:00Z", v1alpha1.AnnotationRunClass: "short-batch",
		},
		"waits     for WarmPool a100, none of whose nodes it fits; sustained-service": {
			v1alpha1.AnnotationWaitingFor: "a100", v1alpha1.AnnotationRunClass: "sustained-service",
		},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "train", Annotations: says}}
		e := explainedPod(pod, handler.PodExplanation{})
		var format output.Format
		output.Add(&cobra.Command{}, &format)
		var out bytes.Buffer
		if err := format.Print(&out, e, e.print); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); want == "" && strings.Contains(got, "waits") || !strings.Contains(got, "  "+want+"\n") && want != "" {
			t.Errorf("printed\n%s\nwant %q", got, want)
		}
	}
}
