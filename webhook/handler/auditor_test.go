package handler

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/events"
)

// TestAuditorRests: after a whole round the auditor takes its time, until a ceiling changes.
func TestAuditorRests(t *testing.T) {
	w := newWorld(t, team(nil))
	w.options.Kinds = w.options.Kinds[:1] // Deployments, of which there is one
	a := NewAuditor(w.options, AuditorOptions{Events: events.NewFakeRecorder(9), Leading: func() bool { return true }, Log: logr.Discard()})
	const page, quick, later = 10 * time.Millisecond, 190 * time.Millisecond, 1990 * time.Millisecond
	step := func(what string, want time.Duration) {
		t.Helper()
		if got := a.rest(page); got != want {
			t.Errorf("%s: rests %s after a page of %s, want %s", what, got, page, want)
		}
	}
	step("at first", quick)
	a.round(t.Context())
	step("after a round", later)
	if got := a.rest(time.Minute); got != auditEvery {
		t.Errorf("rests %s after a long page, want %s", got, auditEvery)
	}
	seen := w.lastGood.Handler()
	lowered := metadataOf("v1", "Namespace", "team", "2", ceilingOf("3"))
	seen.OnAdd(lowered, false)
	step("a ceiling came", quick)
	a.round(t.Context())
	step("after a round with it", later)
	seen.OnUpdate(lowered, metadataOf("v1", "Namespace", "team", "3", ceilingOf("3")))
	step("something else changed", later)
	seen.OnUpdate(lowered, metadataOf("v1", "Namespace", "team", "4", ceilingOf("2")))
	step("it was lowered", quick)
	a.round(t.Context())
	seen.OnDelete(lowered)
	step("it went", quick)
}
