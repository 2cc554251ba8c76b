package handler

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_extender_requests_total",
			Help: "Calls of the scheduler by verb and result: ok; passed through because unsynced, late or failed; refused; unsent.",
		}, []string{"verb", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "forewarm_extender_request_duration_seconds", Help: "Time to answer a call of the scheduler.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 14),
		}, []string{"verb"}),
	}
	registerer.MustRegister(m.requests, m.duration)
	return m
}
