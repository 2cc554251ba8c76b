package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"forewarm.dev/capacity/simulate"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
	"forewarm.dev/test/bench/series"
	"forewarm.dev/test/demo/arrivals"
)

// trace is one thing to measure on.
type trace struct {
	name string
	simulate.Trace
	// step is that of its demand, and the interval of plans.
	step time.Duration
	// gpus says that its unit is a GPU of nodes with eight.
	gpus bool
	// jobs says that it is made of jobs, not of a demand series.
	jobs bool
}

const (
	// nodeGPUs is how many GPUs a node has.
	nodeGPUs = 8
	// fine is the shortest interval of plans here.
	fine = 5 * time.Minute
)

// tracesIn reads the folders replay and series of the data. The LLM traces are one hour long and
// not used.
func tracesIn(data string) ([]trace, error) {
	var traces []trace
	for _, folder := range []string{"replay", "series"} {
		files, err := filepath.Glob(filepath.Join(data, folder, "*.csv.gz"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".csv.gz")
			if strings.Contains(name, "llm") {
				continue
			}
			found, err := readTraces(file, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			traces = append(traces, found...)
		}
	}
	if len(traces) == 0 {
		return nil, fmt.Errorf("no *.csv.gz in %s/replay or %s/series: name the folder that has them", data, data)
	}
	return traces, nil
}

// readTraces tells the three formats apart by their first line.
func readTraces(file, name string) ([]trace, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	unpacked, err := simulate.Unpack(opened)
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(unpacked)
	if err != nil {
		return nil, err
	}
	text := string(all)
	switch first, _, _ := strings.Cut(text, "\n"); {
	case strings.HasPrefix(first, "#"):
		s, err := backtest.ParseSeries(text)
		return []trace{seriesTrace(name, s)}, err
	case strings.Contains(first, "num_gpus"):
		rows, err := simulate.ReadJobs(strings.NewReader(text))
		return jobTraces(name, rows), err
	default:
		s, err := stockOf(text)
		return []trace{seriesTrace(name, s)}, err
	}
}

// jobTraces are a trace per virtual cluster, since a virtual cluster is a pool.
func jobTraces(name string, rows []simulate.Row) []trace {
	byCluster := map[string][]simulate.Row{}
	for _, row := range rows {
		if row.GPUs > 0 && row.Run > 0 {
			byCluster[row.Cluster] = append(byCluster[row.Cluster], row)
		}
	}
	var traces []trace
	for _, cluster := range slices.Sorted(maps.Keys(byCluster)) {
		t := simulate.FromRows(byCluster[cluster])
		traces = append(traces, trace{name: name + "_" + cluster, Trace: t, step: fine, gpus: true, jobs: true})
	}
	return traces
}

// seriesTrace is a demand series as a trace. What is not GPUs is counted in twentieths of its 99th
// percentile.
func seriesTrace(name string, s forecast.Series) trace {
	t := trace{name: name, step: max(s.Step, fine)}
	t.gpus = strings.Contains(name, "gpu") && !strings.Contains(name, "cpu") || strings.HasPrefix(name, "helios")
	unit := 1.0
	if !t.gpus {
		sorted := slices.DeleteFunc(slices.Clone(s.Values), math.IsNaN)
		slices.Sort(sorted)
		if n := len(sorted); n > 0 {
			unit = sorted[n*99/100] / 20
		}
	}
	if unit <= 0 {
		unit = 1
	}
	t.Trace = simulate.FromSeries(s, unit)
	return t
}

// stockOf reads the running and pending GPUs of each minute.
func stockOf(text string) (forecast.Series, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return forecast.Series{}, err
	}
	at, running, pending := slices.Index(rows[0], "time"), slices.Index(rows[0], "running_gpu_num"), slices.Index(rows[0], "pending_gpu_num")
	if at < 0 || running < 0 || pending < 0 || len(rows) < 3 {
		return forecast.Series{}, fmt.Errorf("the header line has %s; it must have num_gpus, or time, running_gpu_num and pending_gpu_num, and two lines below", strings.Join(rows[0], ", "))
	}
	first, err := simulate.ParseTime(rows[1][at])
	if err != nil {
		return forecast.Series{}, fmt.Errorf("line 2: time: %w", err)
	}
	s := forecast.Series{Start: first, Step: time.Minute}
	for i, row := range rows[1:] {
		a, errA := strconv.ParseFloat(row[running], 64)
		b, errB := strconv.ParseFloat(row[pending], 64)
		if errA != nil || errB != nil {
			return s, fmt.Errorf("line %d: running_gpu_num %q and pending_gpu_num %q must be numbers", i+2, row[running], row[pending])
		}
		s.Values = append(s.Values, a+b)
	}
	return s, nil
}

// made are traces of the same kinds: the made series, and jobs.
func made() []trace {
	var traces []trace
	for _, m := range series.Make() {
		name := strings.Replace(m.Name, "gpus_", "gpu_", 1)
		traces = append(traces, seriesTrace(name, m.Series))
	}
	return append(traces, jobTraces("jobs", madeJobs())...)
}

// madeJobs are those of the demo's generator, two virtual clusters of it.
func madeJobs() []simulate.Row {
	var rows []simulate.Row
	for seed := range uint64(2) {
		w := arrivals.Generate(seed+1, 7*24*time.Hour)
		for _, job := range w.Jobs {
			rows = append(rows, simulate.Row{At: w.Start.Add(job.At), Run: job.Run, GPUs: job.GPUs, Cluster: strconv.FormatUint(seed+1, 10)})
		}
	}
	return rows
}

// selection says which traces are measured on.
type selection struct {
	// only is a part of their names.
	only string
	// skipLast is how much of the end of each is left out.
	skipLast time.Duration
}

// without leaves out the end of a trace.
func (t trace) without(last time.Duration) trace {
	t.Length -= last.Truncate(t.step)
	t.Jobs = slices.Clone(t.Jobs)
	t.Jobs = slices.DeleteFunc(t.Jobs, func(j simulate.Job) bool { return j.At > t.Length })
	return t
}

// chosen are the traces to measure on.
func chosen(data string, which selection) ([]trace, error) {
	all := []trace(nil)
	if data == "" {
		all = made()
	} else {
		var err error
		if all, err = tracesIn(data); err != nil {
			return nil, err
		}
	}
	for i := range all {
		all[i] = all[i].without(which.skipLast)
	}
	all = slices.DeleteFunc(all, func(t trace) bool {
		return !strings.Contains(t.name, which.only) || t.Length < scored+24*time.Hour-t.step
	})
	if len(all) == 0 {
		return nil, fmt.Errorf("no trace with %q in its name is eight days long or more", which.only)
	}
	return all, nil
}
