package ledger

import (
	"context"

	"forewarm.dev/webhook"
)

// uncounted are what an object counts for by itself: nothing where it is a group of another that counts for it.
func (t *term) uncounted(ctx context.Context, o *object) (webhook.Amounts, error) {
	amounts, err := t.amounts(ctx, o)
	if err != nil || len(o.OwnerReferences) == 0 {
		return amounts, err
	}
	name, ordinal, led := webhook.Leader(o.Name, &o.OwnerReferences[0])
	if !led {
		return amounts, nil
	}
	for _, w := range t.watches.each() {
		if w.kind.Groups == nil {
			continue
		}
		owner := w.get(o.Namespace, name)
		if owner == nil {
			continue
		}
		claims, err := t.claims(ctx, o.Namespace, owner.members.Claims())
		if err != nil {
			return amounts, err
		}
		if owner.members.Counts(ordinal, amounts, claims) {
			return webhook.Amounts{}, nil
		}
	}
	return amounts, nil
}

// claims are what claim sources have.
func (t *term) claims(ctx context.Context, namespace string, refs []webhook.ClaimRef) (webhook.Claims, error) {
	if len(refs) == 0 || t.Claims == nil {
		return nil, nil
	}
	return t.Claims.Cached(ctx, namespace, refs)
}
