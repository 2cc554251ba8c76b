package config

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTracing: it is off unless it is written, and then a collector beside the process is meant.
func TestTracing(t *testing.T) {
	if d := Default(); d.Webhook.Tracing != nil || d.Extender.Tracing != nil || d.Reserver.Tracing != nil {
		t.Error("traces are sent though nobody has asked for it")
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	content := "apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\nwebhook: {tracing: {}}\nreserver: {tracing: {endpoint: 'http://collector.observability:4318', samplingRatePerMillion: 0}}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Webhook.Tracing; w == nil || w.Endpoint != "http://localhost:4318" || w.SamplingRatePerMillion != nil {
		t.Errorf("webhook: %+v", w)
	}
	if r := c.Reserver.Tracing; r == nil || r.Endpoint != "http://collector.observability:4318" || r.SamplingRatePerMillion == nil {
		t.Errorf("reserver: %+v", r)
	}
}
