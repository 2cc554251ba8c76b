package reserver

import (
	"github.com/prometheus/client_golang/prometheus"

	"forewarm.dev/capacity"
)

// acts are the reasons of plan errors: what can fail.
var acts = []string{
	"Observe", "TakeOver", "Record", "Foresee", "Forecast", "Choose", "Guard",
	string(capacity.Create), string(capacity.Ungate), string(capacity.Delete), "Propose", "Explain", "Report", "Keep", "Tell",
}

// metrics of the reserver. Pools and chunks are written by admins, so their names are bounded.
type metrics struct {
	placeholders *prometheus.GaugeVec
	wanted       *prometheus.GaugeVec
	demand       *prometheus.GaugeVec
	leadTime     *prometheus.GaugeVec
	above        *prometheus.GaugeVec
	stockOut     *prometheus.GaugeVec
	takeovers    *prometheus.CounterVec
	changes      *prometheus.CounterVec
	errors       *prometheus.CounterVec
	cycle        prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	chunk := []string{"pool", "chunk"}
	m := &metrics{
		placeholders: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "forewarm_capacity_placeholder_pods", Help: "Placeholder pods by state: gated, pending, reserved.",
		}, append(chunk, "state")),
		wanted: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "forewarm_capacity_wanted_placeholder_pods", Help: "Ungated placeholder pods that the plan asks for.",
		}, chunk),
		demand: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "forewarm_capacity_demand_chunks", Help: "Demand of real pods, running and pending, in chunks.",
		}, chunk),
		leadTime: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "forewarm_capacity_lead_time_seconds", Help: "Time from asking for a node until a pod runs on it, as plans use it.",
		}, []string{"pool"}),
		above: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "forewarm_capacity_above_ceiling_nodes", Help: "Nodes beyond what the ceilings of a pool allow.",
		}, []string{"pool"}),
		stockOut: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "forewarm_capacity_stock_out", Help: "1 while a pool gets no nodes, 0 otherwise.",
		}, []string{"pool"}),
		takeovers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_capacity_takeovers_total", Help: "Placeholder pods that gave way to other pods, by preemption or deleted for those that cannot preempt.",
		}, chunk),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_capacity_plan_steps_total", Help: "Steps of plans that were taken, by action and reason.",
		}, []string{"action", "reason"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_capacity_plan_errors_total", Help: "Plans that could not be made or applied whole, by the act that failed.",
		}, []string{"reason"}),
		cycle: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "forewarm_capacity_cycle_duration_seconds", Help: "Time to observe, decide, apply and report one pool.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
	registerer.MustRegister(m.placeholders, m.wanted, m.demand, m.leadTime, m.above, m.stockOut, m.takeovers, m.changes, m.errors, m.cycle)
	for _, act := range acts {
		m.errors.WithLabelValues(act) // counts from zero, so that a rate sees the first one
	}
	return m
}
