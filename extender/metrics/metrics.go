// Package metrics are those of the extender.
package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"forewarm.dev/internal/tracing"
)

// Metrics are those of the extender.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	repairs  *prometheus.CounterVec
	audited  *prometheus.CounterVec
	pokes    *prometheus.CounterVec
	taken    *prometheus.CounterVec
	cleared  *prometheus.CounterVec
	epochs   prometheus.Counter
}

// Index tells what it holds.
type Index interface {
	// Holds is how many pods are expected on nodes.
	Holds() int
	// Silent is how many pools have a silent reserver.
	Silent() int
}

// New makes the metrics of an index and registers them.
func New(index Index, registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_extender_requests_total",
			Help: "Calls of the scheduler by verb and result: ok; not decided because unsynced, behind, late or failed; refused; unsent.",
		}, []string{"verb", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "forewarm_extender_request_duration_seconds", Help: "Time to answer a call of the scheduler.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 14),
		}, []string{"verb"}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_extender_repairs_total",
			Help: "What the audit found different from the API server and put right: pods, nodes, pools and namespaces, by kind: missing, stale or gone.",
		}, []string{"object", "kind"}),
		audited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_extender_audited_objects_total", Help: "What the audit has compared with the API server.",
		}, []string{"object"}),
		pokes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_extender_pokes_total", Help: "Pods touched so that the scheduler tries them again, by result: ok, failed.",
		}, []string{"result"}),
		taken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_extender_placeholders_deleted_total",
			Help: "Placeholders deleted for pods that the scheduler had not tried again, by result: ok, failed.",
		}, []string{"result"}),
		cleared: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_extender_placeholders_cleared_total",
			Help: "Placeholders deleted for pods before the scheduler tried them, by result: ok, failed.",
		}, []string{"result"}),
		epochs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "forewarm_extender_scheduler_changes_total", Help: "How often another scheduler has taken over.",
		}),
	}
	// What has not happened yet is zero, not missing, so that a rate sees the first one.
	for _, verb := range []string{"filter", "prioritize", "preempt"} {
		for _, result := range []string{"ok", "unsynced", "behind", "late", "failed", "refused", "unsent"} {
			m.requests.WithLabelValues(verb, result)
		}
	}
	for _, object := range []string{"pod", "node", "pool", "namespace"} {
		m.audited.WithLabelValues(object)
		for _, kind := range []string{"missing", "stale", "gone"} {
			m.repairs.WithLabelValues(object, kind)
		}
	}
	for _, result := range []string{"ok", "failed"} {
		m.pokes.WithLabelValues(result)
		m.taken.WithLabelValues(result)
		m.cleared.WithLabelValues(result)
	}
	holds := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "forewarm_extender_tentative_holds", Help: "Pods that are expected on a node and not bound yet.",
	}, func() float64 { return float64(index.Holds()) })
	silent := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "forewarm_extender_silent_pools", Help: "WarmPools that act and that the reserver has not planned for in ten minutes or three intervals.",
	}, func() float64 { return float64(index.Silent()) })
	registerer.MustRegister(silent, m.requests, m.duration, m.repairs, m.audited, m.pokes, m.taken, m.cleared, m.epochs, holds)
	return m
}

// AnotherScheduler counts that another one has taken over.
func (m *Metrics) AnotherScheduler() { m.epochs.Inc() }

// Repaired counts an object that was found different from the API server, by kind.
func (m *Metrics) Repaired(object, kind string) {
	m.repairs.WithLabelValues(object, kind).Inc()
}

// Audited counts objects that were compared with the API server.
func (m *Metrics) Audited(object string, n int) {
	m.audited.WithLabelValues(object).Add(float64(n))
}

// Touched counts a pod that was touched, or could not be.
func (m *Metrics) Touched(err error) { m.pokes.WithLabelValues(resultOf(err)).Inc() }

// Took counts a placeholder that was deleted, or could not be.
func (m *Metrics) Took(err error) { m.taken.WithLabelValues(resultOf(err)).Inc() }

// Cleared counts a placeholder that was deleted ahead of the scheduler, or could not be.
func (m *Metrics) Cleared(err error) { m.cleared.WithLabelValues(resultOf(err)).Inc() }

func resultOf(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}

// Observe counts a call that was answered, and how long that took.
func (m *Metrics) Observe(ctx context.Context, verb, result string, took time.Duration) {
	m.requests.WithLabelValues(verb, result).Inc()
	m.duration.WithLabelValues(verb).Observe(took.Seconds())
	tracing.Note(ctx, tracing.Result, result)
}
