package forecaster

import (
	"github.com/prometheus/client_golang/prometheus"

	"forewarm.dev/forecast/champion"
)

// metrics of the forecaster. Pools and chunks are written by admins, so their names are bounded.
type metrics struct {
	duration, fit                          prometheus.Histogram
	age, version, degraded, loss, coverage *prometheus.GaugeVec
	retrainings                            *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	chunk := []string{"pool", "chunk"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, chunk)
	}
	m := &metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "forewarm_forecast_duration_seconds", Help: "Time to forecast one chunk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
		fit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "forewarm_forecast_fit_duration_seconds", Help: "Time to learn from the history of one chunk, beside the loop.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 12),
		}),
		age:      gauge("forewarm_forecast_age_seconds", "Age of the last observation that the forecast of a chunk is made from."),
		version:  gauge("forewarm_forecast_version", "Version of the ForecastModel by which a chunk is forecast."),
		degraded: gauge("forewarm_forecast_degraded", "1 while the live error of a chunk's forecast is too high for its score."),
		loss:     gauge("forewarm_forecast_loss_chunks", "Mean quantile loss of the forecasts of the last day."),
		coverage: gauge("forewarm_forecast_coverage_ratio", "Share of the last day's demand within the forecast band from 0.1 to 0.9."),
		retrainings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_forecast_retrainings_total", Help: "Challengers by what became of them: Promoted, Rejected, RolledBack.",
		}, []string{"outcome"}),
	}
	registerer.MustRegister(m.duration, m.fit, m.age, m.version, m.degraded, m.loss, m.coverage, m.retrainings)
	for _, outcome := range []champion.Outcome{champion.OutcomePromoted, champion.OutcomeRejected, champion.OutcomeRolledBack} {
		m.retrainings.WithLabelValues(string(outcome)) // counts from zero, so that a rate sees the first one
	}
	return m
}

// forget drops what was measured of a pool that is gone.
func (m *metrics) forget(pool string) {
	for _, gauge := range []*prometheus.GaugeVec{m.age, m.version, m.degraded, m.loss, m.coverage} {
		gauge.DeletePartialMatch(prometheus.Labels{"pool": pool})
	}
}
