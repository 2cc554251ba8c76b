// Package bypass tries every way to grow past a ceiling, kind by kind, on a real API server,
// and writes what it saw into docs/bypasses.md.
package bypass

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

var updatePage = flag.Bool("update", false, "write docs/bypasses.md")

// patience bounds what takes milliseconds on an idle machine.
const patience = time.Minute

// Who carries a ceiling.
const (
	fromObject    = "object"
	fromTarget    = "target"
	fromNamespace = "Namespace"
)

// suite is a control plane with cmd/webhook beside it.
type suite struct {
	*cluster.Cluster
	client *dynamic.DynamicClient
	// explainer is what forewarmctl explain asks.
	explainer *audit.Explainer
	// explained is how often it was.
	explained atomic.Int64
	// kinds are by group and resource; order is that of the page.
	kinds map[string]webhook.Kind
	order []webhook.Kind
	page  *page
}

// everyKind is the built-in table and the kinds that are not in it.
func everyKind(t *testing.T) []webhook.Kind {
	t.Helper()
	others, err := otherKinds()
	if err != nil {
		t.Fatal(err)
	}
	return append(webhook.Kinds(), others...)
}

// TestRows holds the rows to the table of kinds: every count is tried, and the objects ask
// for what the rows say.
func TestRows(t *testing.T) {
	all := subjects()
	for _, kind := range everyKind(t) {
		s, ok := all[key(kind.Group, kind.Resource)]
		delete(all, key(kind.Group, kind.Resource))
		if !ok {
			t.Errorf("%s of %s is in the table of kinds and not in this suite; add a subject", kind.Resource, kind.Group)
			continue
		}
		counts := map[string]webhook.Count{}
		for _, c := range kind.Counts {
			counts[c.Field] = c
		}
		tried := map[string]bool{}
		for _, r := range s.rows {
			tried[r.count] = true
			count, known := counts[r.count]
			if !known {
				t.Errorf("%s: the table has no count %q", kind.Resource, r.count)
				continue
			}
			asksAsSaid(t, kind, s, r, count)
		}
		for field := range counts {
			if !tried[field] {
				t.Errorf("%s of %s: no row tries the count %q; add one", kind.Resource, kind.Group, field)
			}
		}
		if (kind.Target != "") != (s.target != "") {
			t.Errorf("%s: target %q, the table has %q", kind.Resource, s.target, kind.Target)
		}
	}
	for name := range all {
		t.Errorf("%s is not in the table of kinds", name)
	}
}

func asksAsSaid(t *testing.T, kind webhook.Kind, s subject, r row, count webhook.Count) {
	t.Helper()
	for _, n := range []int64{r.least, belowN, atN, aboveN, fewN, oldN, moreN} {
		o, err := s.make(kind, kind.Version, r, n)
		if err != nil {
			t.Fatal(err)
		}
		if got := count.Of.Evaluate(o.Object); got != r.asked(n) {
			t.Errorf("%s, %s: an object with %d asks for %d by the table, for %d by the row", kind.Resource, r.label(), n, got, r.asked(n))
		}
		for _, other := range kind.Counts {
			if got := other.Of.Evaluate(o.Object); got > max(r.asked(n), r.asked(atN)) {
				t.Errorf("%s, %s: an object with %d asks for %d by %s, which would be refused in its place", kind.Resource, r.label(), n, got, other.Field)
			}
		}
	}
}

// TestBypass writes thousands of objects: every kind, count and way, under ceilings of the
// object, of its target and of its Namespace.
func TestBypass(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	s := newSuite(t)
	t.Run("kinds", func(t *testing.T) {
		for _, kind := range s.order {
			t.Run(kind.Group+"/"+kind.Name, func(t *testing.T) {
				t.Parallel()
				subject := subjects()[key(kind.Group, kind.Resource)]
				for i, r := range subject.rows {
					s.tryRow(t, kind, subject, i, r)
				}
			})
		}
	})
	if s.explained.Load() == 0 {
		t.Error("nothing was explained")
	}
	t.Logf("%d writes were explained before", s.explained.Load())
	s.page.check(t, s.order)
}

// newSuite starts what the suite needs. Of the controllers only those run without which
// RBAC and ServiceAccounts do not work: nobody else writes what the suite writes.
func newSuite(t *testing.T) *suite {
	t.Helper()
	c := cluster.ForTest(t, cluster.Options{
		ControllerManager: true, ExtraArgs: map[string][]string{
			assets.ControllerManager: {"--controllers=clusterrole-aggregation-controller,serviceaccount-controller"},
		},
		// A kind of the administrator's own, which the auditor lists only where it may.
		MayBeForbidden: []string{"may not list /apis/example.com/v1/farms"},
	})
	s := &suite{Cluster: c, kinds: map[string]webhook.Kind{}, order: everyKind(t), page: newPage()}
	for _, kind := range s.order {
		s.kinds[key(kind.Group, kind.Resource)] = kind
	}
	ctx := t.Context()
	if err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}); err != nil {
		t.Fatal(err)
	}
	schemas, err := filepath.Glob(filepath.Join("testdata", "crds", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..", "manifests")
	group, ctx := errgroup.WithContext(ctx)
	for _, file := range append(schemas, filepath.Join(root, "crd", "forewarm.dev_warmpools.yaml"), filepath.Join(root, "rbac", "webhook.yaml"), filepath.Join(root, "rbac", "webhook-ca.yaml")) {
		group.Go(func() error { return c.ApplyFiles(ctx, file) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	s.readWidgets(t)
	s.startWebhook(t, filepath.Join(cluster.Programs(t), "webhook"))
	config := c.RESTConfig()
	config.WarningHandlerWithContext = warner{}
	if s.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	table, err := s.table()
	if err != nil {
		t.Fatal(err)
	}
	if s.explainer, err = audit.NewExplainer(c.RESTConfig(), table, v1alpha1.SystemNamespace); err != nil {
		t.Fatal(err)
	}
	return s
}

// readWidgets lets the webhook read a kind that it does not know, as an admin would.
func (s *suite) readWidgets(t *testing.T) {
	t.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "forewarm-reads-widgets", Labels: map[string]string{"forewarm.dev/aggregate-to-webhook-parents": "true"}},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{"widgets"}, Verbs: []string{"get"}}},
	}
	if err := s.Client.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		aggregated := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "forewarm-webhook-parents"}}
		if err := s.Client.Get(t.Context(), clientKey(aggregated.Name), aggregated); err != nil {
			return err
		}
		if !strings.Contains(fmt.Sprint(aggregated.Rules), "widgets") || !strings.Contains(fmt.Sprint(aggregated.Rules), "nodepools") {
			return fmt.Errorf("ClusterRole %s has not been aggregated yet", aggregated.Name)
		}
		return nil
	})
}

// startWebhook runs it as its ServiceAccount, with the RBAC of the manifests.
func (s *suite) startWebhook(t *testing.T, binary string) {
	t.Helper()
	ctx := t.Context()
	kubeconfig, err := s.KubeconfigForServiceAccount(ctx, v1alpha1.SystemNamespace, "forewarm-webhook")
	if err != nil {
		t.Fatal(err)
	}
	port, health, metrics := freePort(t), freePort(t), freePort(t)
	config := fmt.Sprintf(`apiVersion: config.forewarm.dev/v1alpha1
kind: Config
webhook:
  address: "127.0.0.1:%d"
  url: "https://127.0.0.1:%d"
  healthAddress: "127.0.0.1:%d"
  metricsAddress: "127.0.0.1:%d"
  kinds:
  - {group: example.com, version: v1, resource: farms, kind: Farm, count: %q}
`, port, port, health, metrics, farmCount)
	path := filepath.Join(t.TempDir(), "webhook.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := s.StartProcess(context.WithoutCancel(ctx), "webhook", binary, []string{"--config", path, "--kubeconfig", kubeconfig, "-v", "1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", health))
		if err != nil {
			return fmt.Errorf("%w; its log:\n%s", err, process.Log())
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the webhook is not ready (%s); its log:\n%s", response.Status, process.Log())
		}
		return nil
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
