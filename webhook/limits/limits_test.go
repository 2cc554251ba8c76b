package limits

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/webhook"
)

// owned is a NodePool with a limit, none below zero, and managers that own it.
func owned(limit int64, managers ...string) *unstructured.Unstructured {
	pool := &unstructured.Unstructured{Object: map[string]any{}}
	if limit >= 0 {
		_ = unstructured.SetNestedField(pool.Object, limit, "spec", "limits", "nodes")
	}
	var entries []metav1.ManagedFieldsEntry
	for _, m := range managers {
		entries = append(entries, metav1.ManagedFieldsEntry{Manager: m, Operation: "Apply", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:limits":{"f:nodes":{}}}}`)})
	}
	entries = append(entries, metav1.ManagedFieldsEntry{Manager: "karpenter", Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:limits":{"f:nodes":{}}}}`)},
		metav1.ManagedFieldsEntry{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:limits":{"f:cpu":{}}}}`)})
	pool.SetManagedFields(entries)
	return pool
}

func TestDecide(t *testing.T) {
	three := bound{limit: new(int64(3))}
	for name, c := range map[string]struct {
		pool *unstructured.Unstructured
		b    bound
		want change
	}{
		"no ceiling, no limit":             {owned(-1), bound{}, leave},
		"a ceiling, no limit":              {owned(-1), three, generate},
		"ours, as it should be":            {owned(3, Manager), three, leave},
		"ours, of another ceiling":         {owned(5, Manager), three, generate},
		"ours, of a ceiling that is gone":  {owned(3, Manager), bound{}, release},
		"a lower one of somebody's":        {owned(2, "git"), three, leave},
		"a higher one of somebody's":       {owned(9, "git"), three, leave},
		"somebody wrote the same":          {owned(3, Manager, "git"), three, release},
		"a ceiling that cannot be read":    {owned(3, Manager), bound{unread: true}, leave},
		"and one of the cluster that can":  {owned(3, Manager), boundOf(map[string]string{webhook.MaxNodes: "many"}).and(three), leave},
		"one that cannot, no limit yet":    {owned(-1), bound{limit: new(int64(3)), unread: true}, generate},
		"one that cannot, and a smaller":   {owned(5, Manager), bound{limit: new(int64(3)), unread: true}, generate},
		"somebody's, and no ceiling":       {owned(3, "git"), bound{}, leave},
		"zero":                             {owned(-1), bound{limit: new(int64(0))}, generate},
		"somebody's, under no enforcement": {owned(3, "git"), boundOf(map[string]string{webhook.MaxNodes: "3", webhook.CeilingMode: "warn"}), leave},
	} {
		if got := decide(c.pool, c.b); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestBounds(t *testing.T) {
	of := func(value, mode string) bound {
		annotations := map[string]string{webhook.MaxNodes: value, webhook.CeilingMode: mode}
		if value == "" {
			delete(annotations, webhook.MaxNodes)
		}
		return boundOf(annotations)
	}
	for name, c := range map[string]struct {
		pool, cluster bound
		want          int64 // below zero for none
		unread        bool
	}{
		"none":                 {of("", ""), of("", ""), -1, false},
		"of the pool":          {of("3", ""), of("", ""), 3, false},
		"of the cluster":       {of("", ""), of("4", "enforce"), 4, false},
		"the smaller":          {of("9", ""), of("4", ""), 4, false},
		"the pool only warns":  {of("3", "warn"), of("4", ""), 4, false},
		"one cannot be read":   {of("3", ""), of("lots", ""), 3, true},
		"only audited, unread": {of("x", "audit"), of("", ""), -1, false},
	} {
		got := c.pool.and(c.cluster)
		limit := int64(-1)
		if got.limit != nil {
			limit = *got.limit
		}
		if limit != c.want || got.unread != c.unread {
			t.Errorf("%s: %d, unread %t; want %d, %t", name, limit, got.unread, c.want, c.unread)
		}
	}
}
