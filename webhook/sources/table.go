package sources

import (
	"fmt"
	"slices"

	"forewarm.dev/internal/config"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// Table is the built-in table with what the configuration file adds; an entry for a resource
// of the table replaces it.
func Table(added []config.WebhookKind) ([]webhook.Kind, error) {
	table := webhook.Kinds()
	for i, a := range added {
		count, err := expression.Parse(a.Count)
		if err != nil {
			return nil, fmt.Errorf("webhook.kinds[%d].count: %w", i, err)
		}
		table = slices.DeleteFunc(table, func(k webhook.Kind) bool { return k.Group == a.Group && k.Resource == a.Resource })
		table = append(table, webhook.Kind{
			Group: a.Group, Version: a.Version, Resource: a.Resource, Name: a.Kind, Cluster: a.Cluster,
			Measure: webhook.Measure(a.Measure), Counts: []webhook.Count{{Field: a.Count, Of: count}},
		})
	}
	return table, nil
}
