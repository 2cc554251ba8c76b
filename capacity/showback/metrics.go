package showback

import "github.com/prometheus/client_golang/prometheus"

// metrics of showback. Pools, chunks and resources are written by admins; owners are bounded.
type metrics struct{ chunks, resource, cost, avoided, spared *prometheus.CounterVec }

func newMetrics(registerer prometheus.Registerer) metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		registerer.MustRegister(c)
		return c
	}
	return metrics{
		chunks:   counter("forewarm_capacity_idle_chunk_seconds_total", "Time that placeholder pods have held capacity, in seconds of each chunk.", "pool", "chunk"),
		resource: counter("forewarm_capacity_idle_resource_seconds_total", "Time that placeholder pods have held capacity, in seconds of each unit of the pool's resource, by who asked for it of late.", "pool", "owner", "resource"),
		cost:     counter("forewarm_capacity_idle_cost_total", "What placeholder pods have cost by idleCostPerHour or the prices of nodes, by who asked for the pool's resource of late.", "pool", "owner"),
		avoided:  counter("forewarm_capacity_waits_avoided_total", "Pods that were bound to where a placeholder pod had stood, and waited for no node.", "pool", "owner"),
		spared:   counter("forewarm_capacity_wait_avoided_seconds_total", "The waits for a node that such pods were spared, by the lead time of the pool.", "pool", "owner"),
	}
}

// forget drops what was told of a pool that is gone.
func (m metrics) forget(pool string) {
	for _, c := range []*prometheus.CounterVec{m.chunks, m.resource, m.cost, m.avoided, m.spared} {
		c.DeletePartialMatch(prometheus.Labels{"pool": pool})
	}
}
