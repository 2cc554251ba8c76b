package freshness

import "github.com/prometheus/client_golang/prometheus"

// Register registers the metric of watches.
func Register(w *Watches, registerer prometheus.Registerer) { registerer.MustRegister(collector{w}) }

var age = prometheus.NewDesc("forewarm_extender_cache_age_seconds", "How long ago the API server last said something of a kind that is watched.", []string{"kind"}, nil)

type collector struct{ *Watches }

// Describe tells of the one metric.
func (c collector) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- age }

// Collect measures now.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for kind, since := range c.Ages() {
		metrics <- prometheus.MustNewConstMetric(age, prometheus.GaugeValue, since.Seconds(), kind)
	}
}
