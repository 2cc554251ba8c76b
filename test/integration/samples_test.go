package integration

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// samplesApply applies every sample with the webhook up, as an admin would.
func samplesApply(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.start(t, "webhook", "webhook")
	files, err := filepath.Glob(filepath.Join("..", "..", "manifests", "samples", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("samples: %v, %v", files, err)
	}
	for _, file := range files {
		if err := e.ApplyFiles(ctx, file); err != nil {
			t.Errorf("apply: %v", err)
		}
	}
	pool := &v1alpha1.WarmPool{}
	if err := e.Client.Get(ctx, client.ObjectKey{Name: "a100"}, pool); err != nil {
		t.Fatal(err)
	}
	if pool.Spec.Mode != v1alpha1.ModeObserve {
		t.Errorf("the sample WarmPool is in mode %s, want %s until somebody has looked", pool.Spec.Mode, v1alpha1.ModeObserve)
	}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web"}}
	e.available(t, web)
	if err := webhookDenied(webhookScale(ctx, e.Client, web, 6), "at most 5"); err != nil {
		t.Errorf("the sample's ceiling: %v", err)
	}
}

var samplesMetric = regexp.MustCompile("(?m)^\\| `(forewarm_[a-z0-9_]+)` \\|")

// samplesMetrics compares docs/metrics.md with what the processes have served.
func samplesMetrics(t *testing.T, e *loopEnv) {
	// What the policies refuse no webhook is asked about, so that it has held nothing back yet. They know no totals.
	if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "metered", Annotations: map[string]string{totalReplicas: "1"}}}); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, loopWait, func() error {
		return webhookDenied(e.Client.Create(t.Context(), webhookWorkload("Deployment", "metered", "web", 2, ""), client.DryRunAll), "at most 1")
	})
	for _, p := range e.processes {
		e.scrape(t, p)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, match := range samplesMetric.FindAllSubmatch(page, -1) {
		documented = append(documented, string(match[1]))
	}
	slices.Sort(documented)
	if diff := cmp.Diff(documented, slices.Sorted(maps.Keys(e.metrics))); diff != "" {
		t.Errorf("docs/metrics.md (-) and the processes (+):\n%s", diff)
	}
}
