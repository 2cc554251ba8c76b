package monitoring

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/utils/clock"

	"forewarm.dev/capacity/drainer"
	"forewarm.dev/capacity/intake"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/reserver"
	"forewarm.dev/capacity/showback"
	"forewarm.dev/extender/freshness"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/internal/console"
	"forewarm.dev/internal/console/gate"
	"forewarm.dev/internal/console/live"
	"forewarm.dev/webhook/audit"
	webhookhandler "forewarm.dev/webhook/handler"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/sources"
)

const root = "../.."

// metric is what a process says of one of its metrics before it has a value.
type metric struct {
	help, kind string
	labels     []string
}

// catalogue takes collectors as a registry does, and keeps their descriptions.
type catalogue map[string]metric

func (c catalogue) Register(collector prometheus.Collector) error {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		collector.Describe(descriptions)
		close(descriptions)
	}()
	for d := range descriptions {
		words := described.FindStringSubmatch(d.String())
		if words == nil {
			return fmt.Errorf("cannot read %s", d)
		}
		m := metric{help: words[2], kind: kindOf(collector)}
		for _, label := range strings.FieldsFunc(words[3], func(r rune) bool { return strings.ContainsRune(", {}", r) }) {
			m.labels = append(m.labels, strings.TrimPrefix(label, "c:"))
		}
		if _, twice := c[words[1]]; twice {
			return fmt.Errorf("%s is registered twice", words[1])
		}
		c[words[1]] = m
	}
	return nil
}

func (c catalogue) MustRegister(collectors ...prometheus.Collector) {
	for _, collector := range collectors {
		if err := c.Register(collector); err != nil {
			panic(err)
		}
	}
}

func (c catalogue) Unregister(prometheus.Collector) bool { return false }

var described = regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]*)".*variableLabels: (.*)\}$`)

func kindOf(collector prometheus.Collector) string {
	switch collector.(type) {
	case *prometheus.CounterVec, interface {
		AddWithExemplar(float64, prometheus.Labels)
	}:
		return "counter"
	case *prometheus.HistogramVec, prometheus.Histogram:
		return "histogram"
	default:
		return "gauge"
	}
}

// registered is what all processes register.
func registered(t *testing.T) catalogue {
	t.Helper()
	all := catalogue{}
	register(all)
	return all
}

// register has all processes register.
func register(all prometheus.Registerer) {
	reserver.New(reserver.Options{Registerer: all, Log: logr.Discard(), Clock: clock.RealClock{}})
	showback.New(showback.Options{Registerer: all})
	price.New(price.Options{Registerer: all})
	intake.New(intake.Options{Registerer: all})
	drainer.New(drainer.Options{Registerer: all})
	forecaster.New(forecaster.Options{Registerer: all})
	metrics.New(handler.NewIndex("hold"), all)
	freshness.Register(&freshness.Watches{}, all)
	options := webhookhandler.Options{
		Registerer: all, Log: logr.Discard(), Clock: clock.RealClock{},
		LastGood: sources.NewLastGood(), Parents: &sources.Parents{}, Owners: sources.NewOwners(nil, nil, logr.Discard()),
	}
	webhookhandler.New(options)
	audit.NewAuditor(options, audit.AuditorOptions{Log: logr.Discard()})
	ledger.NewKeeper(ledger.KeeperOptions{Registerer: all, Log: logr.Discard()})
	gate.New(gate.Options{Registerer: all, Clock: clock.RealClock{}})
	hub := live.New(1, clock.RealClock{}, all)
	_, _ = console.New(context.Background(), console.Options{Hub: hub, Registerer: all, Clock: clock.RealClock{}, Log: logr.Discard()})
}

// TestEveryMetricIsKnown: whatever the source calls forewarm_… as the name of a metric is in the
// catalogue that the other tests look at.
func TestEveryMetricIsKnown(t *testing.T) {
	var named []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "test" || path == filepath.Join(root, "internal", "monitoring") || strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".."):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && wholeName.MatchString(text.Value) {
				named = append(named, strings.Trim(text.Value, `"`))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(named)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(registered(t))), named); diff != "" {
		t.Errorf("registered (-) and named in the source (+):\n%s", diff)
	}
}

var wholeName = regexp.MustCompile(`^"forewarm_[a-z0-9_]+"$`)

// parts are those that metrics are named by.
var parts = regexp.MustCompile(`^forewarm_(capacity|console|extender|forecast|webhook)_`)

func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	var families []*dto.MetricFamily
	for name, m := range registered(t) {
		kind := dto.MetricType(dto.MetricType_value[strings.ToUpper(m.kind)])
		families = append(families, &dto.MetricFamily{Name: &name, Help: &m.help, Type: &kind})
		if !parts.MatchString(name) || !strings.HasSuffix(m.help, ".") {
			t.Errorf("%s: it begins with forewarm_ and the part that it is of, and its help is a sentence: %q", name, m.help)
		}
		for _, label := range m.labels {
			if slices.Contains([]string{"pod", "node", "user", "name", "uid"}, label) {
				t.Errorf("%s: label %s has no bound", name, label)
			}
		}
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// row is a line of the table of docs/metrics.md: name, type and unit, labels.
var row = regexp.MustCompile("(?m)^\\| `(forewarm_[a-z0-9_]+)` \\| ([a-z]+)[^|]*\\|([^|]*)\\|")

// TestMetricsAreDocumented: names, types and labels of docs/metrics.md are those of the processes.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := func(kind string, labels []string) string {
		slices.Sort(labels)
		return kind + " " + strings.Join(labels, ",")
	}
	documented, real := map[string]string{}, map[string]string{}
	for _, match := range row.FindAllStringSubmatch(string(page), -1) {
		var labels []string
		for _, label := range labelName.FindAllStringSubmatch(match[3], -1) {
			labels = append(labels, label[1])
		}
		documented[match[1]] = line(match[2], labels)
	}
	for name, m := range registered(t) {
		real[name] = line(m.kind, m.labels)
	}
	if diff := cmp.Diff(documented, real); diff != "" {
		t.Errorf("docs/metrics.md (-) and the processes (+):\n%s", diff)
	}
}

var labelName = regexp.MustCompile("`([a-z_]+)`")
