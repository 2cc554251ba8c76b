package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/monitoring"
)

// loopDashboards asks Prometheus, which has scraped our processes all along, what every panel of
// the dashboards asks it.
func loopDashboards(t *testing.T, e *loopEnv) {
	files, err := filepath.Glob(filepath.Join("..", "..", "manifests", "monitoring", "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	// A rate is of what changes between two scrapes, so there has to be a review after the first.
	cluster.Eventually(t, loopWait, func() error { return e.prometheus.Shows(t.Context(), `forewarm_webhook_decisions_total`) })
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web"}}
	if err := webhookScale(t.Context(), e.Client, web, 5); err != nil {
		t.Error(err)
	}
	asked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		queries, err := monitoring.Queries(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queries {
			asked++
			cluster.Eventually(t, loopWait, func() error {
				if err := e.prometheus.Shows(t.Context(), monitoring.Fill(q.Expr, "5m")); err != nil {
					return fmt.Errorf("%s, panel %q, query %s: %w", filepath.Base(file), q.Panel, q.Ref, err)
				}
				return nil
			})
		}
	}
	t.Logf("%d queries of %d dashboards show something", asked, len(files))
}

// loopQuiet: where nothing changes, cycle after cycle, nobody logs a line. What the parts
// before have set off may still be told of: within loopWait there is a quiet loopWindow.
func loopQuiet(t *testing.T, e *loopEnv) {
	said, last, since := map[string]string{}, "", time.Now()
	cluster.Eventually(t, loopWait, func() error {
		for _, p := range e.processes {
			if log := p.Log(); log != said[p.Name] {
				last = p.Name + ": " + strings.TrimPrefix(log, said[p.Name])
				said[p.Name], since = log, time.Now()
			}
		}
		if quiet := time.Since(since); quiet < loopWindow {
			return fmt.Errorf("nobody has anything to do, and one has logged %s ago:\n%s", quiet, last)
		}
		return nil
	})
}
