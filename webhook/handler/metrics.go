package handler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count and time reviews. Labels are the constants of package webhook, and for
// verdict Error: Panic, Overloaded, InternalError, BadRequest, TooLarge.
type metrics struct {
	decisions *prometheus.CounterVec
	duration  prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) metrics {
	m := metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_webhook_decisions_total",
			Help: "Admission reviews by verdict and reason.",
		}, []string{"verdict", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "forewarm_webhook_decision_duration_seconds",
			Help:    "Time from reading an admission review until its answer is written.",
			Buckets: []float64{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1, 2},
		}),
	}
	registerer.MustRegister(m.decisions, m.duration)
	for _, reason := range []string{"Panic", "Overloaded", "InternalError", "BadRequest", "TooLarge"} {
		m.decisions.WithLabelValues("Error", reason) // counts from zero, so that a rate sees the first one
	}
	return m
}

func (m metrics) observe(verdict, reason string, took time.Duration) {
	m.decisions.WithLabelValues(verdict, reason).Inc()
	m.duration.Observe(took.Seconds())
}
