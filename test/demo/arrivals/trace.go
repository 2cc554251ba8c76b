package arrivals

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"forewarm.dev/capacity/simulate"
)

// TraceOptions choose the part of a trace.
type TraceOptions struct {
	// Path is a file of comma-separated values, gzipped or not, with the columns timestamp
	// (2017-10-09 07:01:55 in UTC, or seconds), duration (seconds), num_gpus and cluster.
	Path string
	// Cluster is the virtual cluster; empty means the one with the most jobs.
	Cluster string
	// Start is when the window starts; zero means the steepest rise of demand.
	Start time.Time
	// Window is the scored time.
	Window time.Duration
}

// ReadTrace reads a workload from a trace. The error names the file, the line and the
// column, and says what to write instead.
func ReadTrace(o TraceOptions) (Workload, error) {
	rows, err := readRows(o.Path)
	if err != nil {
		return Workload{}, fmt.Errorf("trace %s: %w", o.Path, err)
	}
	w, err := choose(rows, o)
	if err != nil {
		return Workload{}, fmt.Errorf("trace %s: %w", o.Path, err)
	}
	w.Input = filepath.Base(o.Path)
	return w, nil
}

func readRows(path string) ([]simulate.Row, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := simulate.Unpack(file)
	if err != nil {
		return nil, err
	}
	return simulate.ReadJobs(text)
}

// ParseStart reads the START of a window.
func ParseStart(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return simulate.ParseTime(text)
}

// choose picks the cluster and the window.
func choose(rows []simulate.Row, o TraceOptions) (Workload, error) {
	counts := map[string]int{}
	for _, r := range rows {
		counts[r.Cluster]++
	}
	cluster := o.Cluster
	if cluster == "" {
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			if cluster == "" || counts[name] > counts[cluster] {
				cluster = name
			}
		}
	} else if counts[cluster] == 0 {
		return Workload{}, fmt.Errorf("no cluster %q; there are %s", cluster, strings.Join(slices.Sorted(maps.Keys(counts)), ", "))
	}
	jobs, first := jobsOf(rows, cluster)
	if len(jobs) == 0 {
		return Workload{}, fmt.Errorf("cluster %q has no job with GPUs and a run time", cluster)
	}
	last := jobs[len(jobs)-1].At
	start := o.Start.Sub(first)
	if o.Start.IsZero() {
		start = steepest(jobs, 0, last+o.Window, o.Window)
	}
	if start < 0 || start > last {
		return Workload{}, fmt.Errorf("START %s is outside of the trace, which has jobs of cluster %q from %s to %s",
			o.Start.Format(time.DateTime), cluster, first.Format(time.DateTime), first.Add(last).Format(time.DateTime))
	}
	return Workload{Cluster: cluster, Start: first.Add(start), Window: o.Window, Jobs: shift(jobs, start, o.Window)}, nil
}

// jobsOf are a cluster's jobs that use GPUs for some time, from the first one on.
func jobsOf(rows []simulate.Row, cluster string) ([]Job, time.Time) {
	var first time.Time
	for _, r := range rows {
		if r.Cluster == cluster && (first.IsZero() || r.At.Before(first)) {
			first = r.At
		}
	}
	var jobs []Job
	for _, r := range rows {
		if r.Cluster == cluster && r.GPUs > 0 && r.Run > 0 {
			jobs = append(jobs, Job{At: r.At.Sub(first), Run: r.Run, GPUs: r.GPUs})
		}
	}
	sortJobs(jobs)
	return jobs, first
}
