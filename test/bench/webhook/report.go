package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"forewarm.dev/test/bench/statistics"
	"forewarm.dev/test/cluster/assets"
)

// Targets of the design, printed beside what was measured.
const (
	maxOfTyped = 1.0 / 3
	maxOfNoop  = 1.15
)

// result is what the last line says of an arm. Added is against the baseline of the same
// round; a figure that an arm does not have is left out.
type result struct {
	CPU       *float64 `json:"cpu_us,omitempty"`
	P50Added  *float64 `json:"p50_added_ms,omitempty"`
	P99Added  *float64 `json:"p99_added_ms,omitempty"`
	APICPU    *float64 `json:"api_cpu_us,omitempty"`
	APIAdded  *float64 `json:"api_cpu_added_us,omitempty"`
	PerSecond *float64 `json:"reviews_per_s,omitempty"`
	RSS       *float64 `json:"rss_mib,omitempty"`
	Mallocs   *float64 `json:"allocs,omitempty"`
}

// report is all that was measured, in the order of its arms.
type report struct {
	inTurns  turns
	subjects []subject
	atPort   []portFigures
	arms     []arm
	atServer []armFigures
}

// print writes the tables, the targets, and the last line.
func (b *bench) print(out io.Writer, inTurns turns, atPort []portFigures, atServer []armFigures) error {
	r := report{inTurns, b.subjects(), atPort, b.arms(), atServer}
	r.portTable(out, b.reviews)
	r.serverTable(out, b.settings)
	r.targets(out)
	last, err := json.Marshal(r.results())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", last)
	return err
}

// machine says what was measured on.
func (b *bench) machine(out io.Writer) {
	model := "unknown processor"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	versions := "unknown versions"
	if store, err := assets.Open(); err == nil {
		if programs, err := store.Find(assets.APIServer); err == nil {
			versions = programs[assets.APIServer]
		}
	}
	fmt.Fprintf(out, "%s, %d × %s, %s/%s, %s\nAPI server: %s; webhooks at https://%s, HTTP/1.1\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version(), apiServerVersion(versions), b.host)
}

// apiServerVersion takes the version out of the place in the cache, which names it.
func apiServerVersion(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		if strings.HasPrefix(parts[i], "kubernetes-") {
			return parts[i]
		}
	}
	return "of " + path
}

func (r report) portTable(out io.Writer, reviews map[writeName][]byte) {
	fmt.Fprintf(out, "At the bare HTTPS port, %d connections, closed loop; CPU of the webhook's process\n", connections)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "review\tbytes\twebhook\tCPU µs\t90 %\treviews/s\tallocations\tRSS MiB\t")
	for i, s := range r.subjects {
		f := r.atPort[i]
		cpu := statistics.Estimated(f.cpuMicros)
		fmt.Fprintf(table, "%s\t%d\t%s\t%.0f\t%.0f..%.0f\t%.0f\t%.0f\t%.0f\t\n",
			s.asked, len(reviews[s.asked]), s.name, cpu.Median, cpu.Low, cpu.High, statistics.Quantile(f.perSecond, 0.5), f.mallocs, f.rssMiB)
	}
	_ = table.Flush()
}

func (r report) serverTable(out io.Writer, s settings) {
	fmt.Fprintf(out, "\nAt the API server, dry-run writes at %.0f/s, open loop, %d pairs; added to the baseline of the same round, 90 %% intervals\n", s.rate, s.rounds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "write\tarm\tp50 ms\tp99 ms\tAPI CPU µs\tp50 ratio\tp50 added ms\tp99 added ms\tAPI CPU added µs\twebhook CPU µs\t")
	for i, a := range r.arms {
		f, base := r.atServer[i], r.baselineOf(a.write.name)
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%.2f\t%.0f\t", a.write.name, a.name, statistics.Quantile(f.p50, 0.5), statistics.Quantile(f.p99, 0.5), statistics.Quantile(f.apiCPU, 0.5))
		if a.name == baseline {
			fmt.Fprint(table, "\t\t\t\t\t\n")
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t", interval(statistics.Each(f.p50, base.p50, statistics.Over), 2), interval(statistics.Each(f.p50, base.p50, statistics.Minus), 2),
			interval(statistics.Each(f.p99, base.p99, statistics.Minus), 2), interval(statistics.Each(f.apiCPU, base.apiCPU, statistics.Minus), 0))
		if len(f.hookCPU) == 0 {
			fmt.Fprint(table, "\t\n")
			continue
		}
		fmt.Fprintf(table, "%.0f\t\n", statistics.Quantile(f.hookCPU, 0.5))
	}
	_ = table.Flush()
}

// interval is an estimate as text.
func interval(values []float64, digits int) string {
	return written(statistics.Estimated(values), digits)
}

func written(e statistics.Estimate, digits int) string {
	return fmt.Sprintf("%.*f (%.*f..%.*f)", digits, e.Median, digits, e.Low, digits, e.High)
}

// targets says what was to be reached. A ratio of what is added is of the same round.
func (r report) targets(out io.Writer) {
	fmt.Fprintln(out, "\nTargets (medians of the pairs' ratios, 90 % intervals)")
	say := func(what string, e statistics.Estimate, measurable bool, limit float64) {
		told := verdict(e, limit)
		if !measurable {
			told = "not measurable, since what the peer adds is within the noise"
		}
		fmt.Fprintf(out, "  %s: %.2f (%.2f..%.2f), at most %.2f: %s\n", what, e.Median, e.Low, e.High, limit, told)
	}
	perReview := statistics.Each(r.portOf(forewarm, update).cpuMicros, r.portOf(typed, update).cpuMicros, statistics.Over)
	say("CPU per Deployment review, forewarm / typed", statistics.Estimated(perReview), true, maxOfTyped)
	ours := slices.IndexFunc(r.inTurns.arms, func(a arm) bool { return a.name == forewarm })
	for _, f := range []struct {
		name    string
		inTurns ofTurns
		of      func(armFigures) []float64
	}{{"p50", p50Of, func(f armFigures) []float64 { return f.p50 }}, {"API server CPU", apiCPUOf, func(f armFigures) []float64 { return f.apiCPU }}} {
		say(f.name+" added to a write (update, in turns), forewarm / noop", r.inTurns.overNoop(ours, f.inTurns), r.inTurns.added(1, f.inTurns).Low > 0, maxOfNoop)
		for _, w := range []writeName{update, edit, pod} {
			base := f.of(r.baselineOf(w))
			added := func(name string) []float64 {
				return statistics.Each(f.of(r.serverOf(name, w)), base, statistics.Minus)
			}
			say(fmt.Sprintf("%s added to a write (%s), forewarm / noop", f.name, w), statistics.Estimated(statistics.Each(added(forewarm), added(noop), statistics.Over)), statistics.Estimated(added(noop)).Low > 0, maxOfNoop)
		}
	}
}

// verdict is whether a limit is kept, and whether the interval settles it.
func verdict(e statistics.Estimate, limit float64) string {
	switch {
	case e.High <= limit:
		return "met"
	case e.Low > limit:
		return "MISSED"
	case e.Median <= limit:
		return "met by the median only"
	default:
		return "missed by the median only"
	}
}

// results are those of Deployments by arm; pods have names of their own.
func (r report) results() map[string]result {
	out := map[string]result{}
	for i, a := range r.arms {
		f, base := r.atServer[i], r.baselineOf(a.write.name)
		one := out[key(a.name, a.write.name)]
		one.APICPU = rounded(statistics.Quantile(f.apiCPU, 0.5), 1)
		if a.name != baseline {
			one.P50Added = rounded(statistics.Quantile(statistics.Each(f.p50, base.p50, statistics.Minus), 0.5), 3)
			one.P99Added = rounded(statistics.Quantile(statistics.Each(f.p99, base.p99, statistics.Minus), 0.5), 3)
			one.APIAdded = rounded(statistics.Quantile(statistics.Each(f.apiCPU, base.apiCPU, statistics.Minus), 0.5), 1)
		}
		out[key(a.name, a.write.name)] = one
	}
	for i, s := range r.subjects {
		f, one := r.atPort[i], out[key(s.name, s.asked)]
		one.CPU, one.PerSecond = rounded(statistics.Quantile(f.cpuMicros, 0.5), 1), rounded(statistics.Quantile(f.perSecond, 0.5), 0)
		one.RSS, one.Mallocs = rounded(f.rssMiB, 1), rounded(f.mallocs, 0)
		out[key(s.name, s.asked)] = one
	}
	return out
}

func key(name string, w writeName) string {
	if w == update {
		return name
	}
	return name + "-" + string(w)
}
