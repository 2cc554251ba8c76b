package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/config"
)

// TestCredentialsReachPrometheus is over TLS, where alone a token may go.
func TestCredentialsReachPrometheus(t *testing.T) {
	var header http.Header
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[%d,"7"]]}]}}`, time.Now().Add(-time.Minute).Unix())
	}))
	defer server.Close()
	token, ca := trusted(t, server)
	settings := config.Default().Reserver.History
	settings.Source = config.Prometheus
	settings.Prometheus.URL, settings.Prometheus.BearerTokenFile, settings.Prometheus.CAFile, settings.Prometheus.Tenant = server.URL, token, ca, "team"
	settings.Prometheus.Timeout = metav1.Duration{Duration: 5 * time.Second}
	store, err := historyStore(settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	series, err := store.Load(t.Context(), history.Key{Pool: "a100", Chunk: "single"}, time.Now().Add(-time.Hour), time.Minute)
	if err != nil || len(series.Values) == 0 || series.Values[len(series.Values)-1] != 7 {
		t.Errorf("series %v, error %v", series.Values, err)
	}
	if header.Get("Authorization") != "Bearer secret" || header.Get("X-Scope-OrgID") != "team" {
		t.Errorf("header %v", header)
	}
	settings.Prometheus.CAFile = token
	if _, err := historyStore(settings, nil); err == nil || !strings.Contains(err.Error(), "reserver.history.prometheus") {
		t.Errorf("a CA file that is none: error %v", err)
	}
}
