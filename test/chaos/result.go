package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"forewarm.dev/test/chaos/invariant"
)

// result is the last line of a run.
type result struct {
	Seed uint64 `json:"seed"`
	// Nodes and Pods are those that stood beside what the load works on.
	Nodes   int     `json:"nodes,omitempty"`
	Pods    int     `json:"pods,omitempty"`
	Seconds float64 `json:"seconds"`
	// Faults are how often each was injected, and how long all took to work again after its end.
	Faults map[string]*recoveries `json:"faults"`
	Writes map[string]int         `json:"writes"`
	// Denied are those writes that were denied, by Namespace or kind.
	Denied map[string]int `json:"denied"`
	counts
	// Beside are the placeholders that were taken over on nodes where cheaper work with a GPU stayed.
	Beside int `json:"takeoversBesideCheaperWork"`
	// AboveNodes is how often a NodeClaim was let through above max-nodes, since no webhook answered.
	AboveNodes int `json:"nodeClaimsAboveMaxNodes"`
	// Shown are writes that had to show a review in the audit log or its absence, FailedOpen those of
	// all writes that were let through without an answer.
	Shown      int `json:"writesThatMustShow"`
	FailedOpen int `json:"writesFailedOpen"`
	// ClockJumps are those that were seen in a Lease.
	ClockJumps int `json:"clockJumpsSeen"`
	// EndedThemselves are the last words of processes that no fault had killed, as of one that loses its Lease.
	EndedThemselves map[string][]string `json:"endedThemselves"`
	// PeakMiB is the most memory that any process of a kind had.
	PeakMiB map[string]int64 `json:"peakMiB"`
	// Cycles are those of the reserver's leader that made most.
	Cycles cycles `json:"reserverCycles"`
	// Violations are how often each invariant was found broken; Unexercised is what a run of this length
	// should have done and did not.
	Violations  map[string]int `json:"violations"`
	Unexercised []string       `json:"unexercised,omitempty"`
}

// recoveries are the times that a fault took to be over.
type recoveries struct {
	Times  int     `json:"n"`
	Median float64 `json:"medianSeconds"`
	Most   float64 `json:"mostSeconds"`

	took []time.Duration
}

func (r *recoveries) add(d time.Duration) {
	r.took = append(r.took, d)
	sorted := slices.Sorted(slices.Values(r.took))
	tenth := func(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }
	r.Times, r.Median, r.Most = len(sorted), tenth(sorted[(len(sorted)-1)/2]), tenth(sorted[len(sorted)-1])
}

// recovered notes how long a fault took to be over.
func (r *result) recovered(fault string, took time.Duration) {
	if r.Faults[fault] == nil {
		r.Faults[fault] = &recoveries{}
	}
	r.Faults[fault].add(took)
}

// judge counts violations, and says what a run should have done.
func (r *result) judge(names []string, found []invariant.Violation) {
	r.Violations = map[string]int{}
	for _, name := range names {
		r.Violations[name] = 0
	}
	for _, v := range found {
		r.Violations[v.Invariant]++
	}
	for what, n := range map[string]int{
		"no write was made": r.Writes["ok"], "no Decision was made": r.Decisions, "no placeholder was taken over beside cheaper work": r.Beside,
		"no write above a ceiling was denied": r.Denied[heldNamespace], "no write above a total of replicas was denied": r.Denied[countedNamespace],
		"no write above a total of GPUs was denied": r.Denied[gpuNamespace], "no NodeClaim was denied": r.Denied[invariant.ClaimKind],
		"no placeholder was ungated": r.Ungated, "no placeholder was taken over": r.Takeovers, "no job ran": r.Jobs, "no write had to show a review": r.Shown,
	} {
		if n == 0 {
			r.Unexercised = append(r.Unexercised, what)
		}
	}
	slices.Sort(r.Unexercised)
}

// err says why a run failed; nil if it did not.
func (r *result) err() error {
	var broken []string
	for _, name := range slices.Sorted(maps.Keys(r.Violations)) {
		if n := r.Violations[name]; n > 0 {
			broken = append(broken, fmt.Sprintf("%s %d times", name, n))
		}
	}
	switch {
	case len(broken) > 0:
		return fmt.Errorf("invariants were broken: %s", strings.Join(broken, ", "))
	case len(r.Unexercised) > 0:
		return fmt.Errorf("the run shows nothing: %s; run it for longer", strings.Join(r.Unexercised, ", "))
	}
	return nil
}

// print writes the table of faults and the line RESULT.
func (r *result) print(out io.Writer) error {
	fmt.Fprintf(out, "\n%-34s %4s %10s %10s\n", "fault", "n", "median s", "most s")
	for _, fault := range slices.Sorted(maps.Keys(r.Faults)) {
		f := r.Faults[fault]
		fmt.Fprintf(out, "%-34s %4d %10.1f %10.1f\n", fault, f.Times, f.Median, f.Most)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", text)
	return err
}
