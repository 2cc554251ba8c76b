package monitoring

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	admissionmetrics "k8s.io/apiserver/pkg/admission/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"sigs.k8s.io/yaml"

	"forewarm.dev/internal/monitoring"
	"forewarm.dev/webhook/registration"
)

var folder = filepath.Join(root, "manifests", "monitoring")

// rule is what we read of rules.yaml.
type rule struct {
	Record      string            `json:"record"`
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// TestGeneratedFilesAreCurrent: what is in manifests/monitoring is what the source makes.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := monitoring.Files(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not current (%v); run: make generate", name, err)
		}
	}
	err = filepath.WalkDir(filepath.Join(folder, "dashboards"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && files[filepath.Join("dashboards", entry.Name())] == nil {
			err = fmt.Errorf("%s is made by nothing", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestQueriesAskForMetricsThatThereAre: in rules and dashboards, with labels that they have.
func TestQueriesAskForMetricsThatThereAre(t *testing.T) {
	known := registered(t)
	maps.Copy(known, apiServers(t))
	known["up"] = metric{kind: "gauge", labels: []string{"instance", "job"}} // Prometheus' own
	recorded := map[string]bool{}
	queries := map[string]string{}
	for _, r := range rules(t) {
		if r.Record != "" {
			recorded[r.Record] = true
		}
		queries[r.Record+r.Alert] = r.Expr
	}
	for _, q := range panelQueries(t) {
		queries[q.panel] = q.expr
	}
	for from, expr := range queries {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(Fill(expr, "5m"))
		if err != nil {
			t.Errorf("%s: %v in %s", from, err, expr)
			continue
		}
		parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
			if selector, ok := n.(*parser.VectorSelector); ok {
				for _, problem := range problems(selector, known, recorded) {
					t.Errorf("%s: %s", from, problem)
				}
			}
			return nil
		})
	}
}

// apiServers are the metrics of the API server that we ask for, as its own code has them.
func apiServers(t *testing.T) catalogue {
	t.Helper()
	admissionmetrics.Metrics.ObserveWebhookFailOpen(t.Context(), "x.forewarm.dev", "validating")
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := catalogue{}
	for _, family := range families {
		if family.GetName() != failOpen {
			continue
		}
		m := metric{kind: strings.ToLower(family.GetType().String())}
		for _, pair := range family.GetMetric()[0].GetLabel() {
			m.labels = append(m.labels, pair.GetName())
		}
		all[failOpen] = m
	}
	if len(all) == 0 {
		t.Errorf("the API server has no metric %s", failOpen)
	}
	return all
}

const failOpen = "apiserver_admission_webhook_fail_open_count"

// TestEveryWebhookThatFailsOpenIsWatched: the alert asks for each entry of ours, and for nobody else's.
func TestEveryWebhookThatFailsOpenIsWatched(t *testing.T) {
	var names []string
	for _, w := range registration.Validating(registration.Target{}, nil).Webhooks {
		names = append(names, w.Name)
	}
	for _, w := range registration.Mutating(registration.Target{}, nil).Webhooks {
		names = append(names, w.Name)
	}
	selectors := 0
	for _, r := range rules(t) {
		if r.Alert != "ForewarmFailingOpen" {
			continue
		}
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
			selector, ok := n.(*parser.VectorSelector)
			if !ok || selector.OriginalOffset != 0 {
				return nil
			}
			for _, matcher := range selector.LabelMatchers {
				if matcher.Name != "name" {
					continue
				}
				selectors++
				for _, name := range names {
					if !matcher.Matches(name) {
						t.Errorf("%s does not ask for %s", matcher, name)
					}
				}
				if matcher.Matches("pods.forewarm.development.example.com") || matcher.Matches("notforewarm.dev") {
					t.Errorf("%s asks for what is not ours", matcher)
				}
			}
			return nil
		})
	}
	if selectors != 2 || len(names) < 8 {
		t.Errorf("%d selectors of %d names", selectors, len(names))
	}
}

// problems of one selector.
func problems(selector *parser.VectorSelector, known catalogue, recorded map[string]bool) []string {
	base := selector.Name
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if m, ok := known[strings.TrimSuffix(base, suffix)]; ok && m.kind == "histogram" {
			base = strings.TrimSuffix(base, suffix)
		}
	}
	m, ours := known[base]
	switch {
	case ours:
	case base == "" || recorded[base] || strings.HasPrefix(base, "process_"):
		return nil
	default:
		return []string{"there is no metric " + selector.Name}
	}
	var found []string
	for _, matcher := range selector.LabelMatchers {
		if matcher.Name != model.MetricNameLabel && !slices.Contains(m.labels, matcher.Name) {
			found = append(found, fmt.Sprintf("%s has no label %s", base, matcher.Name))
		}
	}
	return found
}

type panelQuery struct{ panel, expr string }

// panelQueries are those of all dashboards.
func panelQueries(t *testing.T) []panelQuery {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "dashboards", "*.json"))
	if err != nil || len(files) < 2 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	var all []panelQuery
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		queries, err := Queries(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queries {
			all = append(all, panelQuery{fmt.Sprintf("%s, %s %s", filepath.Base(file), q.Panel, q.Ref), q.Expr})
		}
	}
	return all
}

// TestEveryAlertHasARunbook that its annotation leads to, and each page an alert.
func TestEveryAlertHasARunbook(t *testing.T) {
	const base = "docs/runbooks/"
	tests, err := os.ReadFile(filepath.Join(folder, "rules_test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		name := r.Alert + ".md"
		pages = append(pages, name)
		if got, link := r.Annotations["runbook"], r.Annotations["runbook_url"]; got != base+name || link != "" {
			t.Errorf("%s: the runbook is %q, want %q, and %q is served by nobody", r.Alert, got, base+name, link)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: no summary, description or severity", r.Alert)
		}
		page, err := os.ReadFile(filepath.Join(root, "docs", "runbooks", name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range []string{"# " + r.Alert + "\n", "\n## What it means\n", "\n## What to look at\n", "\n## What to do\n"} {
			if !strings.Contains("\n"+string(page), part) {
				t.Errorf("docs/runbooks/%s has no %q", name, strings.TrimSpace(part))
			}
		}
		if !strings.Contains(string(tests), "runbook: "+base+name) && !strings.Contains(string(tests), `alertname="`+r.Alert+`"`) {
			t.Errorf("no test in rules_test.yaml fires %s", r.Alert)
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "docs", "runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, entry := range entries {
		if entry.Name() != "README.md" {
			there = append(there, entry.Name())
		}
	}
	slices.Sort(pages)
	if diff := cmp.Diff(pages, there); diff != "" {
		t.Errorf("alerts (-) and pages (+):\n%s", diff)
	}
}

// TestRunbooksKnowWhatFails: what an alert may say failed has its words on the alert's page.
func TestRunbooksKnowWhatFails(t *testing.T) {
	all := prometheus.NewRegistry()
	register(all)
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for alert, c := range map[string]struct{ metric, label string }{
		"ForewarmPlanErrors":        {"forewarm_capacity_plan_errors_total", "reason"},
		"ForewarmWebhookErrors":     {"forewarm_webhook_decisions_total", "reason"},
		"ForewarmExtenderUndecided": {"forewarm_extender_requests_total", "result"},
		"ForewarmExtenderRepairs":   {"forewarm_extender_repairs_total", "kind"},
	} {
		page, err := os.ReadFile(filepath.Join(root, "docs", "runbooks", alert+".md"))
		if err != nil {
			t.Fatal(err)
		}
		said := 0
		for _, family := range families {
			if family.GetName() != c.metric {
				continue
			}
			for _, m := range family.GetMetric() {
				labels := map[string]string{}
				for _, pair := range m.GetLabel() {
					labels[pair.GetName()] = pair.GetValue()
				}
				if value := labels[c.label]; value != "ok" && (labels["verdict"] == "" || labels["verdict"] == "Error") {
					said++
					if !strings.Contains(string(page), "`"+value+"`") {
						t.Errorf("docs/runbooks/%s.md says nothing of %s %s", alert, c.label, value)
					}
				}
			}
		}
		if said == 0 {
			t.Errorf("%s: %s has no %s to look for", alert, c.metric, c.label)
		}
	}
}

// TestDashboardsAreWhole: what Grafana needs of a file, and no panel that says nothing.
func TestDashboardsAreWhole(t *testing.T) {
	for _, q := range panelQueries(t) {
		if q.expr == "" || strings.HasSuffix(q.panel, ", ") {
			t.Errorf("%q asks %q", q.panel, q.expr)
		}
	}
	files, _ := filepath.Glob(filepath.Join(folder, "dashboards", "*.json"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			UID    string `json:"uid"`
			Panels []struct {
				ID          int    `json:"id"`
				Type        string `json:"type"`
				Title       string `json:"title"`
				Description string `json:"description"`
				GridPos     struct{ X, Y, W, H int }
			} `json:"panels"`
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatal(err)
		}
		if board.UID+".json" != filepath.Base(file) {
			t.Errorf("%s holds uid %s", file, board.UID)
		}
		for i, p := range board.Panels {
			if p.ID != i+1 || p.Type != "row" && (p.Description == "" || p.GridPos.X+p.GridPos.W > 24) {
				t.Errorf("%s: %+v", board.UID, p)
			}
		}
	}
}
