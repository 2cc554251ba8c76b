package forecaster

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	duration prometheus.Histogram
	age      *prometheus.GaugeVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "forewarm_forecast_duration_seconds", Help: "Time to forecast one chunk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
		age: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "forewarm_forecast_age_seconds", Help: "Age of the last observation that the forecast of a chunk is made from.",
		}, []string{"pool", "chunk"}),
	}
	registerer.MustRegister(m.duration, m.age)
	return m
}
