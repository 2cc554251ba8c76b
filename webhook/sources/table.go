package sources

import (
	"cmp"
	"fmt"
	"slices"

	"forewarm.dev/internal/config"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// Table is the built-in table with what the configuration file adds; an entry for a resource
// of the table replaces where that counts, and keeps what else is known of it.
func Table(added []config.WebhookKind) ([]webhook.Kind, error) {
	table := webhook.Kinds()
	for i, a := range added {
		count, err := expression.Parse(a.Count)
		if err != nil {
			return nil, fmt.Errorf("webhook.kinds[%d].count: %w", i, err)
		}
		k := webhook.Kind{}
		if at := slices.IndexFunc(table, func(k webhook.Kind) bool { return k.Group == a.Group && k.Resource == a.Resource }); at >= 0 {
			k = table[at]
			table = slices.Delete(table, at, at+1)
		}
		k.Group, k.Version, k.Others, k.Resource, k.Name, k.Cluster = a.Group, a.Version, nil, a.Resource, a.Kind, a.Cluster
		k.Measure = cmp.Or(webhook.Measure(a.Measure), webhook.Replicas)
		k.Counts = []webhook.Count{{Field: a.Count, Of: count}}
		k.Vouches = k.Vouches || a.Controls
		table = append(table, k)
	}
	return table, nil
}
