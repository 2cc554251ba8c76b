package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"forewarm.dev/test/chaos/invariant"
	"forewarm.dev/test/demo/stack"
)

// whole is a run that did all that it should.
func whole() *result {
	return &result{
		Faults: map[string]*recoveries{}, Writes: map[string]int{"ok": 9, "denied": 4}, Shown: 2, Beside: 1,
		Denied: map[string]int{heldNamespace: 1, countedNamespace: 1, gpuNamespace: 1, "NodeClaim": 1},
		counts: counts{Decisions: 1, Ungated: 1, Takeovers: 1, Jobs: 1},
	}
}

func TestResult(t *testing.T) {
	good := whole()
	for _, seconds := range []int{9, 1, 2, 4} {
		good.recovered("kill extender", time.Duration(seconds)*time.Second)
	}
	good.judge([]string{"max-replicas"}, nil)
	var out bytes.Buffer
	if err := good.print(&out); err != nil || good.err() != nil {
		t.Fatalf("%v, %v", err, good.err())
	}
	for _, want := range []string{"kill extender", "RESULT {", `"n":4,"medianSeconds":2,"mostSeconds":9`, `"violations":{"max-replicas":0}`, `"placeholdersUngated":1`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\ndoes not say %s", out.String(), want)
		}
	}

	bad := whole()
	bad.judge([]string{"max-replicas"}, []invariant.Violation{{Invariant: "max-replicas"}, {Invariant: "max-replicas"}})
	if err := bad.err(); err == nil || !strings.Contains(err.Error(), "max-replicas 2 times") {
		t.Errorf("two violations: %v", err)
	}
	idle := whole()
	idle.Takeovers = 0
	idle.judge(nil, nil)
	if err := idle.err(); err == nil || !strings.Contains(err.Error(), "no placeholder was taken over") {
		t.Errorf("nothing was taken over: %v", err)
	}
}

// TestUnasked: of ours, only who lost its Lease, or finds no API server, may end by itself.
func TestUnasked(t *testing.T) {
	s := &supervisor{
		stack: &stack.Stack{Replicas: []*stack.Replica{{Name: "reserver-0"}, {Name: "reserver-1"}, {Name: "webhook-1"}}},
		ends: map[string][]string{
			"reserver-0": {lastLine("{}\nreserver: leader election lost\n")},
			"reserver-1": {lastLine("reserver: reach the API server at https://127.0.0.1:1: connection refused; check --kubeconfig")},
			"webhook-1":  {lastLine("webhook: no certificate")},
			"karpenter":  {lastLine("")},
		},
	}
	found := s.unasked()
	if len(found) != 1 || found[0].Says != "webhook-1 ended by itself: webhook: no certificate" {
		t.Errorf("found %v, want the webhook's end alone", found)
	}
}
