package arrivals

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
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

// columns that a trace must have; others are ignored.
var columns = []string{"timestamp", "duration", "num_gpus", "cluster"}

// row is one job of a trace.
type row struct {
	at      time.Time
	run     time.Duration
	gpus    int
	cluster string
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

func readRows(path string) ([]row, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	buffered := bufio.NewReader(file)
	var text io.Reader = buffered
	if magic, _ := buffered.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("unzip: %w", err)
		}
		text = unzipped
	}
	return parse(text)
}

// parse reads the rows of a trace.
func parse(text io.Reader) ([]row, error) {
	reader := csv.NewReader(text)
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("read the header line: %w; it must name the columns %s", err, strings.Join(columns, ", "))
	}
	place := map[string]int{}
	for i, name := range header {
		place[strings.TrimSpace(name)] = i
	}
	var missing []string
	for _, name := range columns {
		if _, ok := place[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("column %s is missing; the header line has %s and must have %s",
			strings.Join(missing, ", "), strings.Join(header, ", "), strings.Join(columns, ", "))
	}
	var rows []row
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := reader.FieldPos(0)
		r, err := parseRow(fields, place)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, errors.New("no jobs below the header line")
	}
	return rows, nil
}

func parseRow(fields []string, place map[string]int) (row, error) {
	get := func(name string) string { return strings.TrimSpace(fields[place[name]]) }
	at, err := parseTime(get("timestamp"))
	if err != nil {
		return row{}, fmt.Errorf("timestamp: %w", err)
	}
	seconds, err := strconv.ParseFloat(get("duration"), 64)
	if err != nil || !(seconds >= 0) || seconds > 1e9 {
		return row{}, fmt.Errorf("duration %q: write seconds from 0 to 1e9", get("duration"))
	}
	gpus, err := strconv.ParseFloat(get("num_gpus"), 64)
	if err != nil || gpus != float64(int(gpus)) || gpus < 0 || gpus > 10000 {
		return row{}, fmt.Errorf("num_gpus %q: write a whole number from 0 to 10000", get("num_gpus"))
	}
	return row{at, time.Duration(seconds * float64(time.Second)), int(gpus), get("cluster")}, nil
}

// parseTime reads a UTC time as text, or seconds.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.DateTime, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0) || seconds > 1e11 {
		return time.Time{}, fmt.Errorf("%q: write %s in UTC, or seconds from 0 on", text, time.DateTime)
	}
	return time.Unix(0, 0).UTC().Add(time.Duration(seconds * float64(time.Second))), nil
}

// ParseStart reads the START of a window.
func ParseStart(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return parseTime(text)
}

// choose picks the cluster and the window.
func choose(rows []row, o TraceOptions) (Workload, error) {
	counts := map[string]int{}
	for _, r := range rows {
		counts[r.cluster]++
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
func jobsOf(rows []row, cluster string) ([]Job, time.Time) {
	var first time.Time
	for _, r := range rows {
		if r.cluster == cluster && (first.IsZero() || r.at.Before(first)) {
			first = r.at
		}
	}
	var jobs []Job
	for _, r := range rows {
		if r.cluster == cluster && r.gpus > 0 && r.run > 0 {
			jobs = append(jobs, Job{At: r.at.Sub(first), Run: r.run, GPUs: r.gpus})
		}
	}
	sortJobs(jobs)
	return jobs, first
}
