package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/tracing"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/collector"
)

// TestTracing: what real processes send to a collector. The webhook has no rate of its own, so that its spans
// are below those of the API server, which traces every request.
func TestTracing(t *testing.T) {
	t.Parallel()
	took := collector.New(t)
	folder := t.TempDir()
	traced := filepath.Join(folder, "tracing.yaml")
	// The API server sends its own spans to nobody.
	if err := os.WriteFile(traced, []byte("apiVersion: apiserver.config.k8s.io/v1beta1\nkind: TracingConfiguration\nendpoint: 127.0.0.1:1\nsamplingRatePerMillion: 1000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := cluster.ForTest(t, cluster.Options{ControllerManager: true, ExtraArgs: map[string][]string{assets.APIServer: {"--tracing-config-file=" + traced}}})
	for _, name := range []string{v1alpha1.SystemNamespace, v1alpha1.PlaceholderNamespace} {
		if err := c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.ApplyFiles(t.Context(), manifestsOf(t, "crd/*.yaml", "rbac/extender*.yaml", "rbac/reserver.yaml", "policy/*.yaml")...); err != nil {
		t.Fatal(err)
	}
	e := newWebhookEnvBeside(t, c, fmt.Sprintf("tracing: {endpoint: %q}", took.Endpoint))
	every := fmt.Sprintf("tracing: {endpoint: %q, samplingRatePerMillion: 1000000}", took.Endpoint)
	t.Run("reviews, as a part of the API server's traces", func(t *testing.T) { tracingReviews(t, e, took) })
	t.Run("the scheduler's calls", func(t *testing.T) { tracingCalls(t, c, folder, every, took) })
	t.Run("the loop", func(t *testing.T) { tracingLoop(t, c, folder, every, took) })
}

func tracingReviews(t *testing.T, e *webhookEnv, took *collector.Collector) {
	e.namespace(t, "team", map[string]string{v1alpha1.AnnotationMaxReplicas: "2"})
	if err := e.Client.Create(t.Context(), webhookWorkload("Deployment", "team", "web", 2, "")); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		for _, s := range took.Spans() {
			if s.Name != "ceilings" || !strings.Contains(s.Attributes[string(tracing.Object)], "web") {
				continue
			}
			decide := slices.ContainsFunc(took.Spans(), func(below collector.Span) bool {
				return below.Name == "decide" && below.Parent == s.ID && below.Trace == s.Trace
			})
			if s.Service != "forewarm-webhook" || s.Parent == "" || s.Attributes[string(tracing.Verdict)] != "Allow" || s.Attributes[string(tracing.Reason)] == "" || !decide {
				return fmt.Errorf("it is %+v, decide below it: %t", s, decide)
			}
			return nil
		}
		return fmt.Errorf("no review in %d spans", len(took.Spans()))
	})
}

// tracingStart runs a process as its ServiceAccount, and waits until it is ready.
func tracingStart(t *testing.T, c *cluster.Cluster, folder, kind, section string) {
	t.Helper()
	health, config := loopAddress(t), filepath.Join(folder, kind+".yaml")
	text := fmt.Sprintf("apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\n%s: {healthAddress: %q, metricsAddress: %q, %s}\n", kind, health, loopAddress(t), section)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := c.KubeconfigForServiceAccount(t.Context(), loopNamespace(kind), "forewarm-"+kind)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.StartProcess(context.WithoutCancel(t.Context()), kind, filepath.Join(cluster.Programs(t), kind), []string{"--config", config, "--kubeconfig", kubeconfig}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, loopWait, func() error {
		response, err := http.Get("http://" + health + "/readyz")
		if err != nil {
			return fmt.Errorf("%w; its log:\n%s", err, p.Log())
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: readiness %d; its log:\n%s", kind, response.StatusCode, p.Log())
		}
		return nil
	})
}

func tracingCalls(t *testing.T, c *cluster.Cluster, folder, every string, took *collector.Collector) {
	address := loopAddress(t)
	tracingStart(t, c, folder, "extender", fmt.Sprintf("address: %q, schedulerLease: '', drainSeconds: 0, %s", address, every))
	response, err := http.Post("http://"+address+"/filter", "application/json", strings.NewReader(`{"Pod":{"metadata":{"name":"p","namespace":"default","uid":"u"}},"NodeNames":[]}`))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", response, err)
	}
	_ = response.Body.Close()
	cluster.Eventually(t, webhookWait, func() error {
		for _, s := range took.Spans() {
			if s.Name == "filter" && s.Service == "forewarm-extender" && s.Attributes[string(tracing.Result)] == "ok" {
				return nil
			}
		}
		return fmt.Errorf("no call in %d spans", len(took.Spans()))
	})
}

// tracingLoop: a whole cycle, each step below what it is a step of.
func tracingLoop(t *testing.T, c *cluster.Cluster, folder, every string, took *collector.Collector) {
	pool := loopPool("traced", "none", 1, 2)
	pool.Spec.Mode = v1alpha1.ModeEnforce
	if err := c.Client.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	tracingStart(t, c, folder, "reserver", every)
	above := map[string]string{"cycle": "", "observe": "cycle", "pool": "cycle", "forecast": "pool", "decide": "pool", "apply": "pool", "report": "pool"}
	cluster.Eventually(t, 2*time.Minute, func() error {
		byID, found := map[string]collector.Span{}, map[string]bool{}
		for _, s := range took.Spans() {
			if s.Service == "forewarm-reserver" {
				byID[s.ID] = s
			}
		}
		for _, s := range byID {
			want, known := above[s.Name]
			if !known || s.Parent == "" != (want == "") || want != "" && byID[s.Parent].Name != want && byID[s.Parent].Name != "" {
				return fmt.Errorf("%s is below %q, want %q", s.Name, byID[s.Parent].Name, want)
			}
			pools := s.Attributes[string(tracing.Pool)]
			if (s.Name == "pool" || s.Name == "forecast") && pools != "traced" || s.Name == "forecast" && (s.Attributes[string(tracing.Chunk)] != "single" || s.Attributes[string(tracing.Source)] == "") {
				return fmt.Errorf("it is %+v", s)
			}
			if byID[s.Parent].Name == want {
				found[s.Name] = true
			}
		}
		if len(found) != len(above) {
			return fmt.Errorf("of a cycle there are %v", found)
		}
		return nil
	})
}
