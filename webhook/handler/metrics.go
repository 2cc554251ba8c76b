package handler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/sources"
)

// metrics count and time reviews. Labels are the constants of package webhook, and for
// verdict Error: Panic, Overloaded, InternalError, BadRequest, TooLarge.
type metrics struct {
	decisions *prometheus.CounterVec
	heldBack  *prometheus.CounterVec
	duration  prometheus.Histogram
	// kinds are those that are told apart.
	kinds sources.Kinds
}

func newMetrics(registerer prometheus.Registerer, kinds sources.Kinds) metrics {
	m := metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_webhook_decisions_total",
			Help: "Admission reviews by verdict and reason.",
		}, []string{"verdict", "reason"}),
		heldBack: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_webhook_held_back_total",
			Help: "Admission reviews of writes that got less than they asked for, or would have in the mode enforce.",
		}, []string{"resource", "operation", "verdict", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "forewarm_webhook_decision_duration_seconds",
			Help:    "Time from reading an admission review until its answer is written.",
			Buckets: []float64{0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1, 2},
		}),
		kinds: kinds,
	}
	registerer.MustRegister(m.decisions, m.heldBack, m.duration)
	for _, reason := range []string{"Panic", "Overloaded", "InternalError", "BadRequest", "TooLarge"} {
		m.decisions.WithLabelValues("Error", reason) // counts from zero, so that a rate sees the first one
	}
	return m
}

func (m metrics) observe(verdict, reason string, took time.Duration) {
	m.decisions.WithLabelValues(verdict, reason).Inc()
	m.duration.Observe(took.Seconds())
}

// held counts a write that is held back, which few are.
func (m metrics) held(r *admissionv1.AdmissionRequest, d webhook.Decision) {
	if d.HoldsBack() || exceeds(d.Reason) {
		m.heldBack.WithLabelValues(m.resource(r.Resource), operation(r), string(d.Verdict), string(d.Reason)).Inc()
	}
}

// otherResource stands for all that grow by /scale alone: whoever makes a CRD makes no series.
const otherResource = "other"

// resource is that of a kind which the webhook knows, such as deployments.apps.
func (m metrics) resource(r metav1.GroupVersionResource) string {
	resource := schema.GroupResource{Group: r.Group, Resource: r.Resource}
	if _, known := m.kinds[metav1.GroupResource(resource)]; known {
		return resource.String()
	}
	switch resource {
	case corev1.Resource("namespaces"), webhook.NodeClaims.In("").GroupResource(), webhook.Machines.In("").GroupResource():
		return resource.String()
	default:
		return otherResource
	}
}

// operation is how a write came: by which subresource, if by one that counts, else whether it creates.
func operation(r *admissionv1.AdmissionRequest) string {
	switch {
	case r.SubResource == "scale", r.SubResource == "status":
		return r.SubResource
	case r.Operation == admissionv1.Create:
		return "create"
	default:
		return "update"
	}
}
