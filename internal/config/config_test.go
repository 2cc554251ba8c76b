package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultIsValid(t *testing.T) {
	if errs := Default().Validate(); len(errs) > 0 {
		t.Errorf("Default().Validate() = %v", errs)
	}
}

func TestLoadNamesTheFieldAndTheRemedy(t *testing.T) {
	header := "apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\n"
	tests := map[string]struct {
		content string
		want    []string
	}{
		"unknown field":      {header + "reserver: {placeholder: x}\n", []string{`unknown field "reserver.placeholder"`}},
		"wrong version":      {"apiVersion: v1\nkind: Config\n", []string{"apiVersion", "config.forewarm.dev/v1alpha1"}},
		"positive priority":  {header + "reserver: {priority: 5}\n", []string{"reserver.priority", "negative"}},
		"address no port":    {header + "webhook: {address: localhost}\n", []string{"webhook.address", "host:port"}},
		"plain http url":     {header + "webhook: {url: 'http://x:1'}\n", []string{"webhook.url", "https://host:port"}},
		"deadline too long":  {header + "extender: {deadline: 1m}\n", []string{"extender.deadline", "1ms to 5s"}},
		"user with a quote":  {header + "webhook: {autoscalers: [keda, 'a\"b']}\n", []string{"webhook.autoscalers[1]"}},
		"no such mode":       {header + "webhook: {certificate: {mode: Vault}}\n", []string{"webhook.certificate.mode", "SelfManaged", "CertManager", "Files"}},
		"files without any":  {header + "webhook: {certificate: {mode: Files}}\n", []string{"webhook.certificate.certFile", "webhook.certificate.keyFile", "webhook.certificate.caFile", "/tls.crt"}},
		"files, relative":    {header + "webhook: {certificate: {mode: Files, certFile: a, keyFile: /b, caFile: /c}}\n", []string{"webhook.certificate.certFile", "absolute"}},
		"files, injected":    {header + "webhook: {certificate: {mode: Files, certFile: /a, keyFile: /b, caFile: /c, injectCAFrom: x/y}}\n", []string{"webhook.certificate.injectCAFrom", "remove it"}},
		"no Certificate":     {header + "webhook: {certificate: {mode: CertManager, certFile: /a, keyFile: /b}}\n", []string{"webhook.certificate.injectCAFrom", "NAMESPACE/NAME"}},
		"half a name":        {header + "webhook: {certificate: {mode: CertManager, certFile: /a, keyFile: /b, injectCAFrom: x}}\n", []string{"webhook.certificate.injectCAFrom", "NAMESPACE/NAME"}},
		"file, unread":       {header + "webhook: {certificate: {certFile: /a}}\n", []string{"webhook.certificate.certFile", "SelfManaged"}},
		"no client CA":       {header + "webhook: {clientCA: {names: [x]}}\n", []string{"webhook.clientCA.file", "absolute path"}},
		"too many decisions": {header + "reserver: {decisions: {keep: 9999}}\n", []string{"reserver.decisions.keep", "0 to 2000"}},
		"prices, relative":   {header + "reserver: {prices: {file: prices.yaml}}\n", []string{"reserver.prices.file", "absolute"}},
		"OpenCost nowhere":   {header + "reserver: {prices: {openCost: {url: 'opencost:9003'}}}\n", []string{"reserver.prices.openCost.url", "http://opencost.opencost:9003"}},
		"its token in clear": {header + "reserver: {prices: {openCost: {url: 'http://o:1', bearerTokenFile: /t, timeout: 1h}}}\n", []string{"reserver.prices.openCost.url", "https", "reserver.prices.openCost.timeout", "1s to 2m"}},
		"calls anywhere":     {header + "reserver: {calls: {secretFile: secret}}\n", []string{"reserver.calls.address", "host:port", "reserver.calls.secretFile", "absolute"}},
		"no label":           {header + "reserver: {showback: {ownerLabel: a b}}\n", []string{"reserver.showback.ownerLabel"}},
		"too many owners":    {header + "reserver: {showback: {maxOwners: 5000}}\n", []string{"reserver.showback.maxOwners", "1 to 1000"}},
		"lines somewhere":    {header + "reserver: {decisions: {lines: here.jsonl}}\n", []string{"reserver.decisions.lines", "absolute"}},
		"no such history":    {header + "reserver: {history: {source: Disk}}\n", []string{"reserver.history.source", "Objects", "Prometheus"}},
		"no Prometheus":      {header + "reserver: {history: {source: Prometheus}}\n", []string{"reserver.history.prometheus.url", "http://prometheus.monitoring:9090"}},
		"one for all pools":  {header + "reserver: {history: {source: Prometheus, prometheus: {url: 'http://p:1', query: up}}}\n", []string{"reserver.history.prometheus.query", "$pool", "$chunk"}},
		"a token in clear":   {header + "reserver: {history: {source: Prometheus, prometheus: {url: 'http://p:1', bearerTokenFile: /t}}}\n", []string{"reserver.history.prometheus.url", "https"}},
		"a URL unused":       {header + "reserver: {history: {prometheus: {url: 'http://p:1'}}}\n", []string{"reserver.history.source", "write Prometheus"}},
		"none in flight":     {header + "reserver: {history: {source: Prometheus, prometheus: {url: 'http://p:1', maxInFlight: 0, timeout: 0s}}}\n", []string{"reserver.history.prometheus.maxInFlight", "reserver.history.prometheus.timeout"}},
		"no collector":       {header + "webhook: {tracing: {endpoint: 'collector:4317'}}\n", []string{"webhook.tracing.endpoint", "http://localhost:4318"}},
		"half a collector":   {header + "extender: {tracing: {endpoint: 'http://'}}\n", []string{"extender.tracing.endpoint", "root of the API"}},
		"more than all":      {header + "reserver: {tracing: {samplingRatePerMillion: 1000001}}\n", []string{"reserver.tracing.samplingRatePerMillion", "0 to 1000000"}},
		"namespace no label": {header + "reserver: {namespace: A_b}\n", []string{"reserver.namespace"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil {
				t.Fatal("Load accepted it")
			}
			for _, want := range append(test.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
}

func TestLoadKeepsDefaultsOfFieldsNotGiven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	content := "apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\nreserver: {maxChangesPerPlan: 7}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Reserver.MaxChangesPerPlan = 7
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load:\n%s", diff)
	}
}

func TestLoadKinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	for entry, wantSays := range map[string]string{
		"{group: example.com, version: v1, resource: widgets, kind: Widget, count: spec.size=1}":                                "",
		"{group: example.com, version: v1, resource: widgets, kind: Widget, count: spec.size=1, measure: nodes}":                "",
		"{group: example.com, version: v1, resource: widgets, kind: Widget, count: spec.size=1, measure: gpus}":                 "webhook.kinds[0].measure",
		"{group: example.com, version: v1, resource: widgets, kind: Widget, count: spec.size=1, controls: true}":                "",
		"{group: example.com, version: v1, resource: widgets, kind: Widget, count: spec.size=1, controls: true, cluster: true}": "webhook.kinds[0].controls",
		"{group: example.com, version: v1, resource: widgets, kind: Widget}":                                                    "webhook.kinds[0].count",
	} {
		content := "apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\nwebhook: {kinds: [" + entry + "]}\n"
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if wantSays == "" && (err != nil || len(c.Webhook.Kinds) != 1 || c.Webhook.Kinds[0].Measure == "") {
			t.Errorf("%s: %+v, %v", entry, c.Webhook.Kinds, err)
		}
		if wantSays != "" && (err == nil || !strings.Contains(err.Error(), wantSays)) {
			t.Errorf("%s: %v, want %s named", entry, err, wantSays)
		}
	}
}

// TestNoErrorShowsThePassword: credentials do not belong into the file, and are not repeated where they are.
func TestNoErrorShowsThePassword(t *testing.T) {
	for _, url := range []string{"https://us:hunter2@prometheus:9090", "ftp://us:hunter2@prometheus", "https://us:hunter2@prome%theus:9090", "http://us:hunter2@"} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		content := "apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\nreserver: {history: {source: Prometheus, prometheus: {url: \"" + url + "\"}}}\n"
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "reserver.history.prometheus.url") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
