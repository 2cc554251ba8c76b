package main

import (
	"fmt"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/config"
)

// historyStore is where recorded demand is kept.
func historyStore(settings config.History, c client.Client) (forecaster.Store, error) {
	if settings.Source != config.Prometheus {
		return history.NewStore(c), nil
	}
	server := settings.Prometheus
	carrier, err := carrierTo(server.URL, server.BearerTokenFile, server.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reserver.history.prometheus: %w", err)
	}
	if server.Tenant != "" {
		carrier = tenant{server.Tenant, carrier}
	}
	return history.NewPrometheus(history.PrometheusOptions{
		URL: server.URL, Query: server.Query, Transport: carrier,
		MaxInFlight: server.MaxInFlight, Timeout: server.Timeout.Duration, Now: time.Now,
	})
}

// tenant says whose metrics are asked for.
type tenant struct {
	name string
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t tenant) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("X-Scope-OrgID", t.name)
	return t.next.RoundTrip(request)
}
