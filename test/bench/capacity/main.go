// Command capacity replays traces on a simulated pool with each arm, from the autoscaler alone to
// an oracle, and prints how long jobs waited and what idled, and a line RESULT for machines.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"forewarm.dev/capacity/simulate"
)

func main() {
	data := flag.String("data", "", "folder that has the folders replay and series; without it, made traces")
	refit := flag.Duration("refit", 0, "how often Auto is fitted anew; zero forecasts with Combined")
	only := flag.String("only", "", "measure only the traces whose name has this in it")
	skipLast := flag.Duration("skip-last", 0, "leave out so much of each trace's end: the week before the last is scored with 168h, to compare settings on")
	flag.Parse()
	runtime.GOMAXPROCS(1) // what it takes is stated for one core
	if err := run(*data, selection{*only, *skipLast}, *refit, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench-capacity:", err)
		os.Exit(1)
	}
}

func run(data string, which selection, refit time.Duration, out, progress io.Writer) error {
	traces, err := chosen(data, which)
	if err != nil {
		return err
	}
	begin := time.Now()
	var results []traceResult
	for i, t := range traces {
		seen, err := foresee(t, refit, func(int, int) {})
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		for _, lead := range leads() {
			result, err := measure(t, seen, lead)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			results = append(results, result)
		}
		took := time.Since(begin)
		left := took / time.Duration(i+1) * time.Duration(len(traces)-i-1)
		fmt.Fprintf(progress, "[%4.0f s] %d of %d traces, %s done, about %.0f s left\n", took.Seconds(), i+1, len(traces), t.name, left.Seconds())
	}
	if err := table(out, results); err != nil {
		return err
	}
	return conclude(out, results)
}

func table(out io.Writer, results []traceResult) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "trace\tlead\t")
	for _, arm := range simulate.Arms() {
		fmt.Fprintf(w, "%s\t", arm)
	}
	fmt.Fprintln(w, "same idle\tforecast\tdaily\tidle ÷ static\t÷ constant\t")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%.0f\t", r.Name, r.LeadMin)
		for _, arm := range simulate.Arms() {
			fmt.Fprintf(w, "%s\t", cell(r.Arms[arm]))
		}
		fmt.Fprintf(w, "%s\t%v\t%v\t%s\t%s\t\n", cell(r.SameIdle), r.Forecastable, r.Daily, text(r.IdleVsStatic), text(r.IdleVsConstant))
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(out, `A cell is p95 wait in seconds / mean idle over mean demand / share of arriving demand that found
ready capacity. constant and static are set on the history before the scored week; same idle is
constant placeholders that idle as much as forewarm, in hindsight.
`)
	return err
}

func cell(r armResult) string {
	return fmt.Sprintf("%.0f/%.2f/%.3f", r.WaitP95, r.IdleShare, r.HitRate)
}

func text(r *float64) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *r)
}

// summary is the last line of the output.
type summary struct {
	Traces              []traceResult `json:"traces"`
	IdleVsStatic        *float64      `json:"idle_vs_static"`
	IdleVsStaticWorst   *float64      `json:"idle_vs_static_worst"`
	IdleVsStaticDaily   *float64      `json:"idle_vs_static_daily"`
	IdleVsConstant      *float64      `json:"idle_vs_constant"`
	WaitTenthOfReactive *float64      `json:"forecastable_gpu_jobs_wait_tenth_of_reactive"`
	WaitBelowSameIdle   *float64      `json:"wait_below_placeholders_same_idle"`
}

func conclude(out io.Writer, results []traceResult) error {
	var s summary
	var all, days, constant []*float64
	for _, r := range results {
		all, constant = append(all, r.IdleVsStatic), append(constant, r.IdleVsConstant)
		if r.Daily {
			days = append(days, r.IdleVsStatic)
		}
	}
	s.Traces = results
	s.IdleVsStatic, s.IdleVsStaticWorst = geometric(all)
	s.IdleVsStaticDaily, _ = geometric(days)
	s.IdleVsConstant, _ = geometric(constant)
	s.WaitTenthOfReactive = share(results, func(r traceResult) (bool, bool) {
		return r.Forecastable, r.Arms[simulate.Forewarm].WaitP95 <= r.Arms[simulate.Alone].WaitP95/10
	})
	s.WaitBelowSameIdle = share(results, func(r traceResult) (bool, bool) {
		return true, r.Arms[simulate.Forewarm].WaitP95 < r.SameIdle.WaitP95
	})
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", line)
	return err
}

// share is that of the results which count and hold.
func share(results []traceResult, judge func(traceResult) (counts, holds bool)) *float64 {
	n, good := 0, 0
	for _, r := range results {
		if counts, holds := judge(r); counts {
			n++
			if holds {
				good++
			}
		}
	}
	if n == 0 {
		return nil
	}
	return new(rounded(float64(good)/float64(n), 4))
}
