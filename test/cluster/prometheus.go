package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"forewarm.dev/test/cluster/assets"
)

// Prometheus is a running Prometheus server.
type Prometheus struct {
	*Process
	// URL is the root of its API.
	URL     string
	targets string
}

// Scrape has it read the metrics of targets, host:port, from now on, and of no others.
func (p *Prometheus) Scrape(targets ...string) error {
	return p.read([]targetGroup{{Targets: targets}})
}

// ScrapeJobs is Scrape for targets by the names of their jobs, as a ServiceMonitor or PodMonitor has them.
func (p *Prometheus) ScrapeJobs(jobs map[string]string) error {
	var groups []targetGroup
	for name, target := range jobs {
		groups = append(groups, targetGroup{[]string{target}, map[string]string{"job": name}})
	}
	return p.read(groups)
}

// targetGroup is a part of a file of targets.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels,omitempty"`
}

func (p *Prometheus) read(groups []targetGroup) error {
	text, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	// Prometheus sees a rename, and never half a file.
	if err := os.WriteFile(p.targets+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(p.targets+".new", p.targets)
}

// Shows fails unless it answers an expression with a number now.
func (p *Prometheus) Shows(ctx context.Context, expr string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/api/v1/query?query="+url.QueryEscape(expr), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	for _, series := range answer.Data.Result {
		if series.Value[1] != "NaN" {
			return nil
		}
	}
	return fmt.Errorf("%s: no number in %v, %s", expr, answer.Data.Result, answer.Error)
}

// PrometheusForTest starts a Prometheus server that ends with the test. Its database is empty
// and takes remote writes; it reads the metrics of targets, host:port, every second. Where
// the program is missing the test fails, or is skipped with -short.
func PrometheusForTest(t testing.TB, targets ...string) *Prometheus {
	t.Helper()
	store, err := assets.Open()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := store.Find(assets.Prometheus)
	if assets.IsMissing(err) && testing.Short() {
		t.Skipf("-short and no Prometheus: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// No component of a control plane, but its way to run processes.
	c := &Cluster{Dir: dir, options: Options{Dir: dir}, logDir: dir, programs: programs, endpoints: map[string]Endpoint{}, spawner: newSpawner()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Prometheus:\n%s", c.LogOf(assets.Prometheus))
		}
		if err := c.Stop(); err != nil {
			t.Errorf("stop Prometheus: %v", err)
		}
	})
	p, err := c.startPrometheus()
	if err == nil {
		err = p.Scrape(targets...)
	}
	if err != nil {
		t.Fatalf("start Prometheus: %v", err)
	}
	Eventually(t, startTimeout, p.ready)
	return p
}

func (c *Cluster) startPrometheus() (*Prometheus, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	settings, targets := filepath.Join(c.Dir, "prometheus.yaml"), filepath.Join(c.Dir, "targets.json")
	if err := os.WriteFile(settings, fmt.Appendf(nil, prometheusSettings, targets), 0o600); err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	// The background context: it ends with Stop only.
	process, err := c.StartProcess(context.Background(), assets.Prometheus, c.programs[assets.Prometheus], []string{
		"--config.file=" + settings, "--storage.tsdb.path=" + filepath.Join(c.Dir, "data"), "--storage.tsdb.retention.time=90d",
		"--web.listen-address=" + address, "--web.enable-remote-write-receiver", "--log.level=warn",
	}, nil)
	return &Prometheus{process, "http://" + address, targets}, err
}

// ready fails until the server answers; at once and for good if it has ended.
func (p *Prometheus) ready() error {
	if err := p.check(); err != nil {
		return &finalError{err}
	}
	answer, err := http.Get(p.URL + "/-/ready")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", answer.Status)
	}
	return nil
}

// prometheusSettings read targets from a file, which the server watches.
const prometheusSettings = `
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: forewarm, file_sd_configs: [{files: [%q], refresh_interval: 1s}]}]
`
