package price

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// write makes a file of prices.
func write(t *testing.T, path, content string) string {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "prices.yaml")
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newPrices(file string, server *OpenCost) *Prices {
	return New(Options{File: file, OpenCost: server, Registerer: prometheus.NewRegistry(), Log: logr.Discard()})
}

// node is one of an instance type, with further labels by pairs.
func node(name, instanceType string, labels ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelInstanceTypeStable: instanceType}}}
	for i := 0; i < len(labels); i += 2 {
		n.Labels[labels[i]] = labels[i+1]
	}
	return n
}

const list3 = `prices:
- {instanceType: p4d, capacityType: on-demand, perHour: "32.77"}
- {instanceType: p4d, capacityType: spot, perHour: "9.83"}
- {instanceType: g5, perHour: "1.21"}
`

func TestAFileOfPrices(t *testing.T) {
	p := newPrices(write(t, "", list3), nil)
	p.refresh(t.Context(), start)
	annotated := node("b", "p4d")
	annotated.Annotations = map[string]string{v1alpha1.AnnotationPricePerHour: "20.5"}
	for name, c := range map[string]struct {
		node *corev1.Node
		want float64
		from string
	}{
		"on demand where nothing is said":  {node("a", "p4d"), 32.77, "File"},
		"Karpenter, spot":                  {node("a", "p4d", "karpenter.sh/capacity-type", "spot"), 9.83, "File"},
		"EKS, spot":                        {node("a", "p4d", "eks.amazonaws.com/capacityType", "SPOT"), 9.83, "File"},
		"GKE, spot":                        {node("a", "p4d", "cloud.google.com/gke-spot", "true"), 9.83, "File"},
		"AKS, spot":                        {node("a", "p4d", "kubernetes.azure.com/scalesetpriority", "spot"), 9.83, "File"},
		"reserved, of which nothing is":    {node("a", "p4d", "karpenter.sh/capacity-type", "reserved"), 0, ""},
		"the same for all capacity types":  {node("a", "g5", "karpenter.sh/capacity-type", "reserved"), 1.21, "File"},
		"another type":                     {node("a", "m5"), 0, ""},
		"an annotation, before all others": {annotated, 20.5, "Annotation"},
	} {
		if got, from, err := p.of(c.node); got != c.want || from != c.from || err != nil {
			t.Errorf("%s: %v from %q, %v; want %v from %q", name, got, from, err, c.want, c.from)
		}
	}
	annotated.Annotations[v1alpha1.AnnotationPricePerHour] = "12,5"
	got, from, err := p.of(annotated)
	if got != 32.77 || from != "File" || err == nil || !strings.Contains(err.Error(), `node b: annotation forewarm.dev/price-per-hour: "12,5" is no price: write a decimal number`) {
		t.Errorf("an annotation that is none: %v from %q, %v", got, from, err)
	}
}

func TestAFileThatIsNoneIsToldByItsField(t *testing.T) {
	for content, want := range map[string]string{
		"prices: [{instanceType: p4d, perHour: \"12,5\"}]":                               `prices[0].perHour: "12,5" is no price: write a decimal number such as 32.77`,
		"prices: [{instanceType: p4d, perHour: \"-1\"}]":                                 "prices[0].perHour",
		"prices: [{instanceType: p4d, perHour: 1.5}]":                                    "perHour",
		"prices: [{perHour: \"1\"}]":                                                     "prices[0].instanceType: is empty: write what nodes carry as label",
		"prices: [{instanceType: p4d, capacityType: Spot, perHour: \"1\"}]":              `prices[0].capacityType: "Spot" is none: write spot, on-demand or reserved`,
		"prices: [{instanceType: a, perHour: \"1\"}, {instanceType: a, perHour: \"2\"}]": "prices[1]: a  has a price already",
		"price: []": `unknown field "price"`,
		"":          "prices: has none: write for example",
	} {
		path := write(t, "", content)
		if _, err := tableFrom(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q and the file named", content, err, want)
		}
	}
}

// TestTheExampleOfThePage: what the page shows can be read.
func TestTheExampleOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/prices.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## The file\n\n```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	offers, err := parse([]byte(example))
	if err != nil || len(offers) != 4 || offers[Offer{"p4d.24xlarge", Reserved}] != 19.22 {
		t.Errorf("%v, %v", offers, err)
	}
}

func TestTheLastGoodPricesStay(t *testing.T) {
	path := write(t, "", list3)
	p := newPrices(path, nil)
	for i, c := range []struct {
		content string
		want    float64
		failed  bool
	}{{list3, 1.21, false}, {"prices: [", 1.21, true}, {"prices: [", 1.21, true}, {`prices: [{instanceType: g5, perHour: "2"}]`, 2, false}} {
		write(t, path, c.content)
		p.refresh(t.Context(), start.Add(time.Duration(i)*fileEvery))
		got, _, err := p.of(node("a", "g5"))
		if got != c.want || err != nil || (p.problem() != nil) != c.failed {
			t.Errorf("%d: %v, %v, problem %v; want %v", i, got, err, p.problem(), c.want)
		}
	}
	if n := testutil.ToFloat64(p.errors.WithLabelValues("File")); n != 2 {
		t.Errorf("%v failures counted, want 2", n)
	}
}

// assets is what OpenCost answers: on-demand nodes and one on spot, one that has just come, one at no price that
// there is, and a disk.
const assets = `{
 "c/n1": {"type": "Node", "nodeType": "p4d", "minutes": 60, "totalCost": 32.5, "preemptible": 0, "properties": {"name": "n1"}},
 "c/n2": {"type": "Node", "nodeType": "p4d", "minutes": 30, "totalCost": 17.5, "preemptible": 0, "properties": {"name": "n2"}},
 "c/n3": {"type": "Node", "nodeType": "p4d", "minutes": 20, "totalCost": 3, "preemptible": 1, "properties": {"name": "n3"}},
 "c/n4": {"type": "Node", "nodeType": "p5", "minutes": 1, "totalCost": 9, "preemptible": 0, "properties": {"name": "n4"}},
 "c/n5": {"type": "Node", "nodeType": "p4d", "minutes": 60, "totalCost": 1e30, "preemptible": 0, "properties": {"name": "n5"}},
 "c/d1": {"type": "Disk", "minutes": 60, "totalCost": 1, "properties": {"name": "d1"}}
}`

// openCost is a server that answers as OpenCost does; its answer may be changed.
func openCost(t *testing.T, answer *string) *OpenCost {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/model/assets" || r.URL.Query().Get("window") != "1h" || r.URL.Query().Get("filter") != `assetType:"node"` {
			t.Errorf("asked for %s", r.URL)
		}
		if *answer == "" {
			http.Error(w, "Error computing asset set", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `{"code": 200, "data": %s}`, *answer)
	}))
	t.Cleanup(server.Close)
	return &OpenCost{URL: server.URL + "/model/", Client: server.Client(), Timeout: 5 * time.Second}
}

func TestOpenCost(t *testing.T) {
	for name, answer := range map[string]string{"OpenCost": assets, "Kubecost": "[" + assets + "]"} {
		got, err := openCost(t, &answer).prices(t.Context())
		want := table{
			nodes:  map[string]float64{"n1": 32.5, "n2": 35, "n3": 9},
			offers: map[Offer]float64{{"p4d", OnDemand}: 50 / 1.5, {"p4d", Spot}: 9},
		}
		near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
		if diff := cmp.Diff(want, got, near, cmp.AllowUnexported(table{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestOpenCostThatFails(t *testing.T) {
	answer := assets
	p := newPrices("", openCost(t, &answer))
	if !p.unread() {
		t.Error("read before it was asked")
	}
	p.refresh(t.Context(), start)
	for i, bad := range []string{"", `"none"`, `{"a": {"minutes": "x"}}`} {
		answer = bad
		p.refresh(t.Context(), start.Add(time.Duration(i+1)*openCostEvery))
		err := p.problem()
		if err == nil || !strings.Contains(err.Error(), "reserver.prices.openCost") || !strings.Contains(err.Error(), "/model/") {
			t.Errorf("%q: %v, want the server named", bad, err)
		}
		if got, from, _ := p.of(node("n3", "p4d")); got != 9 || from != "OpenCost" {
			t.Errorf("%q: %v from %q, want the last good price", bad, got, from)
		}
	}
	answer = assets
	p.refresh(t.Context(), start.Add(3*openCostEvery+time.Minute)) // not due yet
	if p.problem() == nil {
		t.Error("asked again a minute later")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.options.OpenCost.prices(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("at the end: %v", err)
	}
}
