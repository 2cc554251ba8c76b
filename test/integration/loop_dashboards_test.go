package integration

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/monitoring"
)

// The reasons for which a query may say zero after the main loop.
const (
	zeroNever   = "the loop has none of it"
	zeroTaken   = "placeholders have been taken over, and no node is left for others"
	zeroCounted = "what is counted every 15 s may have been counted before the first scrape"
	zeroFresh   = "what was observed last is as old as the scrape"
	zeroRate    = "nothing may have happened between two scrapes"
)

// loopZero are the queries that may say zero after the main loop, by panel and letter, and why. All
// others have to say more, so that a panel of nothing but zeros does not pass for one that works.
var loopZero = map[string]string{
	"Ready A": zeroTaken, "Age A": zeroFresh, "Steps A": zeroRate,
	"Idle cost A": zeroCounted, "Idle cost per day A": zeroCounted, "Idle A": zeroCounted, "Idle B": zeroCounted,
	"Nodes above a ceiling A": zeroNever, "Pools without nodes A": zeroNever, "Evictions A": zeroNever, "Errors A": zeroNever,
	"Takeovers B": zeroNever, "Versions and challengers B": zeroNever, "Versions and challengers C": zeroNever,
	"Above a ceiling A": zeroNever, "Above a ceiling B": zeroNever, "People B": zeroNever, "Plans approved and rejected A": zeroNever,
	"Holds, repairs and other schedulers A": zeroNever, "Holds, repairs and other schedulers B": zeroNever,
	"Holds, repairs and other schedulers C": zeroNever, "Holds, repairs and other schedulers D": zeroNever,
	"Holds, repairs and other schedulers E": zeroNever, "Holds, repairs and other schedulers F": zeroNever,
}

// loopDashboards asks Prometheus, which has scraped our processes all along, what every panel of
// the dashboards asks it.
func loopDashboards(t *testing.T, e *loopEnv) {
	files, err := filepath.Glob(filepath.Join("..", "..", "manifests", "monitoring", "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	// A rate is of what changes between two scrapes, so there has to be a review after the first.
	cluster.Eventually(t, loopWait, func() error { return e.prometheus.Shows(t.Context(), `forewarm_webhook_decisions_total`) })
	cluster.Eventually(t, loopWait, func() error { return e.prometheus.Shows(t.Context(), `forewarm_console_sign_ins_total`) })
	e.signIn(t)
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web"}}
	if err := webhookScale(t.Context(), e.Client, web, 5); err != nil {
		t.Error(err)
	}
	asked, gone := map[string]string{}, maps.Clone(loopZero)
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
			name, expr := q.Panel+" "+q.Ref, monitoring.Fill(q.Expr, "5m")
			cluster.Eventually(t, loopWait, func() error {
				if err := e.prometheus.Shows(t.Context(), expr); err != nil {
					return fmt.Errorf("%s, panel and query %s: %w", filepath.Base(file), name, err)
				}
				return nil
			})
			if delete(gone, name); loopZero[name] == "" {
				asked[filepath.Base(file)+", "+name] = expr
			}
		}
	}
	for name := range gone {
		t.Errorf("no panel and query is called %s any more", name)
	}
	cluster.Eventually(t, loopWait, func() error { return e.aboveZero(t, asked) })
	t.Logf("%d queries of %d dashboards show more than zero, and %d a number", len(asked), len(files), len(loopZero))
}

// aboveZero fails unless each expression, by its name, has some answer above zero.
func (e *loopEnv) aboveZero(t *testing.T, expressions map[string]string) error {
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(expressions)) {
		if err := e.prometheus.Shows(t.Context(), "("+expressions[name]+") > 0"); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(failed...)
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
