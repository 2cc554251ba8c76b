package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"forewarm.dev/test/demo/play"
)

// kept is what one seed measured, and what it was played with: all that it takes to simulate it again.
type kept struct {
	Trace        string                     `json:"trace,omitempty"`
	Cluster      string                     `json:"cluster,omitempty"`
	Start        string                     `json:"start,omitempty"`
	Hours        float64                    `json:"hours"`
	Seed         uint64                     `json:"seed"`
	Factor       float64                    `json:"factor"`
	Placeholders int                        `json:"placeholders"`
	Arms         map[play.Arm]play.Measured `json:"arms"`
}

// keep writes what was measured so far.
func keep(path string, seeds []outcome) error {
	if path == "" {
		return nil
	}
	all := make([]kept, 0, len(seeds))
	for _, o := range seeds {
		s := o.settings
		all = append(all, kept{
			Trace: s.trace, Cluster: s.cluster, Start: s.start, Hours: s.hours, Seed: s.seed, Factor: s.factor,
			Placeholders: o.placeholders, Arms: o.arms,
		})
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// again reads what was kept.
func again(path string) ([]outcome, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []kept
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	seeds := make([]outcome, 0, len(all))
	for _, k := range all {
		s := settings{trace: k.Trace, cluster: k.Cluster, start: k.Start, hours: k.Hours, seed: k.Seed, factor: k.Factor}
		w, err := s.workload()
		if err != nil {
			return nil, err
		}
		for arm, measured := range k.Arms {
			if jobs := w.Between(0, w.Window); len(measured.ByJob) != len(jobs) {
				return nil, fmt.Errorf("%s: seed %d, %s: %d jobs were measured, and the workload has %d now: measure again with --keep", path, k.Seed, arm, len(measured.ByJob), len(jobs))
			}
			measured.Await() // in what was kept before that was noted
		}
		seeds = append(seeds, outcome{settings: s, workload: w, arms: k.Arms, placeholders: k.Placeholders})
	}
	return seeds, nil
}

// compareAgain compares what was kept with what the simulator says now.
func compareAgain(path string, out io.Writer) error {
	seeds, err := again(path)
	if err != nil {
		return err
	}
	for i := range seeds {
		if err := simulated(&seeds[i]); err != nil {
			return err
		}
	}
	if err := comparison(out, seeds); err != nil {
		return err
	}
	return resultLine(out, agreements(seeds))
}
