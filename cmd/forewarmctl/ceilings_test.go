package main

import (
	"testing"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/webhook"
)

// TestOverridesAreReadAlike: the reserver, which may not import the webhook's reader, takes from an override, and from
// a mode, what the webhook takes.
func TestOverridesAreReadAlike(t *testing.T) {
	if v1alpha1.AnnotationCeilingMode != webhook.CeilingMode || v1alpha1.AnnotationCeilingOverride != webhook.CeilingOverride || v1alpha1.AnnotationMaxNodes != webhook.MaxNodes {
		t.Error("the names of the annotations differ")
	}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, number := range []string{"20", "0", "+2", "-1", "2147483647", "2147483648", "", "2.0", " 2"} {
		for _, rest := range []string{
			" until 2999-01-01T00:00:00Z: why", " until 2026-12-01T00:00:00Z: why", " until 2026-12-01T00:00:00.5Z: why", " until 2999-01-01: why",
			" until 2999-01-01T00:00:00Z:why", " until 2999-01-01T00:00:00Z:  ", " until 2999-01-01T00:00:00Z: a until b: c", "",
		} {
			want, err := webhook.ParseOverride(number + rest)
			got := capacity.Override(number+rest, now)
			if holds := err == nil && now.Before(want.Until); holds != (got != nil) || holds && *got != want.Limit {
				t.Errorf("%q: the webhook reads %+v, %v, the reserver %v", number+rest, want, err, got)
			}
		}
	}
	for _, value := range []string{"enforce", "warn", "audit", "", "Warn", "off"} {
		mode, _ := webhook.ParseMode(value)
		if binds := (capacity.Ceiling{Limit: new(int64), Mode: value}).Binds(); binds != (mode == webhook.Enforce) {
			t.Errorf("mode %q: the webhook reads %s, the reserver holds to it: %t", value, mode, binds)
		}
	}
}
