package main

import (
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"forewarm.dev/capacity/price"
	"forewarm.dev/internal/config"
)

// pricesOf reads prices where the configuration says.
func pricesOf(settings config.Prices, log logr.Logger) (*price.Prices, error) {
	options := price.Options{File: settings.File, Registerer: ctrlmetrics.Registry, Clock: clock.RealClock{}, Log: log.WithName("prices")}
	if server := settings.OpenCost; server != nil {
		carrier, err := carrierTo(server.URL, server.BearerTokenFile, server.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reserver.prices.openCost: %w", err)
		}
		options.OpenCost = &price.OpenCost{URL: server.URL, Client: &http.Client{Transport: carrier}, Timeout: server.Timeout.Duration}
	}
	return price.New(options), nil
}
