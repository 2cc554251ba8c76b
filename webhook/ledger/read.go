package ledger

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// Read is the ledger of a holder as it stands.
func Read(ctx context.Context, from client.Reader, namespace string, h Holder) (total.Ledger, error) {
	o := &v1alpha1.Ledger{}
	if err := from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: h.ledger()}, o); err != nil {
		return total.Ledger{}, fmt.Errorf("get ledger %s: %w", h.ledger(), err)
	}
	return fromAPI(o), nil
}

// Decode is the holder and the content of a ledger.
func Decode(o *v1alpha1.Ledger) (Holder, total.Ledger) { return holderOf(o.Name), fromAPI(o) }

// Totals are the annotations by which a holder of this kind bounds sums.
func (h Holder) Totals() []string {
	if h.Kind == Namespace {
		return []string{webhook.MaxTotalReplicas, webhook.MaxGPUs}
	}
	return []string{webhook.MaxNodes}
}
