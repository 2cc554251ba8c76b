package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

func newAbove(registerer prometheus.Registerer) *prometheus.GaugeVec {
	above := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "forewarm_webhook_above_total_holders",
		Help: "Namespaces, node pools and the cluster of which more stands than a total allows, as the leading replica saw last.",
	}, []string{"measure"})
	registerer.MustRegister(above)
	for _, measure := range measures {
		above.WithLabelValues(strings.ToLower(string(measure)))
	}
	return above
}

// measures are what totals bound.
var measures = []webhook.Measure{webhook.Replicas, webhook.GPUs, webhook.Nodes}

// settings are the totals that the carrier sets for its holder.
func settings(h Holder, carrier *metav1.PartialObjectMetadata) []webhook.Setting {
	kind := h.Kind
	if kind == Cluster {
		kind = Namespace // kube-system
	}
	var out []webhook.Setting
	set := totalsOf(carrier, h.Kind)
	for _, annotation := range slices.Sorted(maps.Keys(set)) {
		out = append(out, webhook.Setting{On: webhook.Object{Kind: kind, Name: carrier.Name}, Annotation: annotation, Set: true, Value: set[annotation]})
	}
	return out
}

// report tells in the ledger's status, by a metric, and, where that is new, by an event whether
// more stands than a total allows. What a new ledger has not counted yet is not told of.
func (t *term) report(ctx context.Context, h Holder, o *v1alpha1.Ledger, carrier *metav1.PartialObjectMetadata, l total.Ledger) error {
	if !l.Complete {
		return nil
	}
	above := l.Excesses(settings(h, carrier))
	t.measure(h, above)
	condition := conditionOf(above)
	next, was := o.DeepCopy(), meta.IsStatusConditionTrue(o.Status.Conditions, v1alpha1.ConditionAboveCeiling)
	if !meta.SetStatusCondition(&next.Status.Conditions, condition) {
		return nil
	}
	if err := t.Client.Status().Patch(ctx, next, client.MergeFrom(o)); err != nil {
		return fmt.Errorf("write the status of the ledger of %s: %w", h, err)
	}
	if condition.Status == metav1.ConditionTrue && !was {
		t.Log.Info("More stands than a total allows", "holder", h.String(), "says", condition.Message)
		t.Events.Eventf(carrier, nil, corev1.EventTypeWarning, v1alpha1.ReasonStandsAboveCeiling, "Count", "%s", condition.Message)
	}
	return nil
}

func conditionOf(above []total.Excess) metav1.Condition {
	if len(above) == 0 {
		return metav1.Condition{Type: v1alpha1.ConditionAboveCeiling, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWithinCeiling}
	}
	ways := make([]string, len(above))
	for i, e := range above {
		ways[i] = e.String()
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionAboveCeiling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonStandsAboveCeiling,
		Message: strings.Join(ways, "; ") + "; they may stay and shrink, and not grow",
	}
}

// measure has the metric follow what is seen of a holder.
func (t *term) measure(h Holder, above []total.Excess) {
	holding := t.holding(h)
	for _, e := range holding.above {
		t.counts[e.Measure]--
	}
	for _, e := range above {
		t.counts[e.Measure]++
	}
	holding.above = above
	t.publish(t.counts)
}

// publish sets the metric; a replica that does not lead knows of nothing.
func (t *term) publish(counts map[webhook.Measure]int) {
	for _, measure := range measures {
		t.above.WithLabelValues(strings.ToLower(string(measure))).Set(float64(counts[measure]))
	}
}
