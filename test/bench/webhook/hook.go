package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/config"
	"forewarm.dev/test/bench/webhook/serve"
	"forewarm.dev/test/cluster"
	"forewarm.dev/webhook/twin"
)

// hook is a running webhook, a process of its own, so that its CPU time is its own.
type hook struct {
	// address is on loopback; url is how the API server knows it.
	address, url string
	pid          int
	metricsURL   string
	// reviews is the metric that counts what it was asked.
	reviews string
	client  *http.Client
}

func (h *hook) figure(ctx context.Context, name string) (float64, error) {
	return figure(ctx, h.client, h.metricsURL, name)
}

// figure sums the samples of a metric over its labels; one that is not there is zero.
func figure(ctx context.Context, client *http.Client, url, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("read metrics: %s answers %s", url, response.Status)
	}
	sum := 0.0
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		series, value, found := strings.Cut(lines.Text(), " ")
		if metric, _, _ := strings.Cut(series, "{"); !found || metric != name {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum += number
	}
	return sum, lines.Err()
}

func (b *bench) url(port int) string { return fmt.Sprintf("https://%s:%d", b.host, port) }

// build makes the binaries of all hooks.
func (b *bench) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", b.cluster.Dir+string(os.PathSeparator),
		"./cmd/webhook", "./test/bench/webhook/noop", "./test/bench/webhook/typed")
	cmd.Dir = b.root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the webhooks: %w\n%s", err, output)
	}
	return nil
}

// startPeer runs a webhook that is made with package serve.
func (b *bench) startPeer(ctx context.Context, name string) error {
	port, err := cluster.FreePort()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	args := []string{"--address", address, "--cert", b.identity.certFile, "--key", b.identity.keyFile}
	process, err := b.cluster.StartProcess(ctx, name, filepath.Join(b.cluster.Dir, name), args, nil)
	if err != nil {
		return err
	}
	h := &hook{
		address: address, url: b.url(port), pid: process.PID(), reviews: serve.Reviews,
		metricsURL: "https://" + address + "/metrics", client: insecureClient(),
	}
	b.hooks[name] = h
	return b.waitFor(ctx, name+" to serve", func() error {
		_, err := h.figure(ctx, serve.Mallocs)
		return err
	})
}

// startForewarm runs cmd/webhook, for its arms alone.
func (b *bench) startForewarm(ctx context.Context) error {
	if err := b.runForewarm(ctx); err != nil {
		return err
	}
	return b.takeOver(ctx)
}

// runForewarm installs cmd/webhook as its manifests do and runs it as its ServiceAccount.
func (b *bench) runForewarm(ctx context.Context) error {
	crds, err := filepath.Glob(filepath.Join(b.root, "manifests", "crd", "*.yaml"))
	if err != nil {
		return err
	}
	manifests := append(crds, filepath.Join(b.root, "manifests", "rbac", "webhook.yaml"), filepath.Join(b.root, "manifests", "rbac", "webhook-ca.yaml"), filepath.Join(b.root, "manifests", "samples", "warmpool.yaml"))
	if err := b.cluster.ApplyFiles(ctx, manifests...); err != nil {
		return err
	}
	kubeconfig, err := b.cluster.KubeconfigForServiceAccount(ctx, v1alpha1.SystemNamespace, "forewarm-webhook")
	if err != nil {
		return err
	}
	settings := config.Default()
	w := &settings.Webhook
	for _, address := range []*string{&w.HealthAddress, &w.MetricsAddress, &w.Address} {
		port, err := cluster.FreePort()
		if err != nil {
			return err
		}
		*address, w.URL = fmt.Sprintf("127.0.0.1:%d", port), b.url(port) // the last one is what is asked
	}
	data, err := yaml.Marshal(settings)
	if err != nil {
		return err
	}
	path := filepath.Join(b.cluster.Dir, "forewarm.yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	process, err := b.cluster.StartProcess(ctx, forewarm, filepath.Join(b.cluster.Dir, "webhook"), []string{"--config", path, "--kubeconfig", kubeconfig}, nil)
	if err != nil {
		return err
	}
	b.hooks[forewarm] = &hook{
		address: w.Address, url: w.URL, pid: process.PID(), reviews: "forewarm_webhook_decisions_total",
		metricsURL: "http://" + w.MetricsAddress + "/metrics", client: http.DefaultClient,
	}
	err = b.waitFor(ctx, "cmd/webhook to be ready", func() error { return ready(ctx, "http://"+w.HealthAddress+"/readyz") })
	if err != nil {
		return fmt.Errorf("%w; its log says:\n%s", err, b.cluster.LogOf(forewarm))
	}
	return nil
}

// takeOver keeps all that Forewarm has registered for its arms, and stops it from writing it
// while the others are measured: its policies would else be a part of every arm. It goes on
// serving.
func (b *bench) takeOver(ctx context.Context) error {
	for _, binding := range twin.Bindings() {
		err := b.waitFor(ctx, "the twin", func() error { return b.cluster.Client.Get(ctx, client.ObjectKeyFromObject(&binding), &binding) })
		if err != nil {
			return err
		}
	}
	var role rbacv1.ClusterRole
	role.Name = "forewarm-webhook"
	if err := b.strip(ctx, &role, "admissionregistration.k8s.io"); err != nil {
		return err
	}
	return b.waitFor(ctx, "what Forewarm has registered to be taken over", func() error { return b.takeRegistered(ctx) })
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// waitFor polls; it fails with what was waited for.
func (b *bench) waitFor(ctx context.Context, what string, condition func() error) error {
	if err := cluster.Wait(ctx, b.patience, condition); err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}
