package arrivals

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGenerateIsRepeatableAndLikePhilly(t *testing.T) {
	w := Generate(1, time.Hour)
	if diff := cmp.Diff(w, Generate(1, time.Hour)); diff != "" {
		t.Error("two runs with one seed differ")
	}
	if cmp.Equal(w.Jobs, Generate(2, time.Hour).Jobs) {
		t.Error("two seeds give the same jobs")
	}
	ones, logs, n := 0, 0.0, len(w.Jobs)
	for _, job := range w.Jobs {
		if job.GPUs == 1 {
			ones++
			logs += math.Log(job.Run.Seconds())
		}
	}
	if share := float64(ones) / float64(n); math.Abs(share-0.9586) > 0.005 {
		t.Errorf("%.4f of the jobs ask for one GPU, want 0.9586", share)
	}
	if mean := logs / float64(ones); math.Abs(mean-6.59) > 0.05 {
		t.Errorf("mean logarithm of run times %.3f, want 6.59", mean)
	}
	scored := len(w.Between(0, w.Window))
	if scored < 200 || scored > 900 {
		t.Errorf("%d jobs in the window, want several hundred", scored)
	}
	if w.Jobs[0].At > -28*24*time.Hour {
		t.Errorf("history begins at %v, want four weeks", w.Jobs[0].At)
	}
	t.Logf("%d jobs in the window, %d running when it starts", scored, len(w.RunningAt(0)))
}

// TestArrivalsAreOverDispersed measures the Fano factor within hours of the day, so that
// the daily profile does not count for it.
func TestArrivalsAreOverDispersed(t *testing.T) {
	w := Generate(3, time.Hour)
	first := w.Jobs[0].At
	counts := map[int]map[int]float64{} // by hour of the week, by five minutes
	for _, job := range w.Jobs {
		five := int((job.At - first) / (5 * time.Minute))
		hour := five / 12 % 168
		if counts[hour] == nil {
			counts[hour] = map[int]float64{}
		}
		counts[hour][five]++
	}
	fano, n := 0.0, 0.0
	for hour := range 168 {
		var values []float64
		for k := range 4 * 12 {
			values = append(values, counts[hour][(k/12*168+hour)*12+k%12])
		}
		mean, squares := 0.0, 0.0
		for _, v := range values {
			mean += v / float64(len(values))
		}
		for _, v := range values {
			squares += (v - mean) * (v - mean) / float64(len(values)-1)
		}
		if mean > 0 {
			fano += squares / mean
			n++
		}
	}
	if fano /= n; fano < 3 {
		t.Errorf("Fano factor %.2f, want at least 3", fano)
	}
}

func TestDemandIsAStockPerShape(t *testing.T) {
	w := Workload{Jobs: []Job{
		{At: -10 * time.Minute, Run: 8 * time.Minute, GPUs: 2},
		{At: -150 * time.Second, Run: time.Hour, GPUs: 16},
		{At: -90 * time.Second, Run: 10 * time.Second, GPUs: 4},
	}}
	whole, single := w.Demand(0, 4*time.Minute, time.Minute)
	if diff := cmp.Diff([]float64{0, 2, 2, 2}, whole); diff != "" {
		t.Errorf("whole nodes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float64{2, 2, 4, 0}, single); diff != "" {
		t.Errorf("single GPUs (-want +got):\n%s", diff)
	}
}

func TestRunningAtKeepsWhatRemains(t *testing.T) {
	w := Workload{Jobs: []Job{{At: -time.Hour, Run: 2 * time.Hour, GPUs: 1}, {At: -time.Hour, Run: time.Minute, GPUs: 1}, {At: time.Minute, Run: time.Hour, GPUs: 1}}}
	if diff := cmp.Diff([]Job{{At: 0, Run: time.Hour, GPUs: 1}}, w.RunningAt(0)); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
}

func TestNothingIsKnownBeforeTheFirstJob(t *testing.T) {
	w := Workload{Jobs: []Job{{At: -time.Hour, Run: time.Minute, GPUs: 1}, {At: time.Minute, Run: time.Minute, GPUs: 1}}}
	for until, want := range map[time.Duration]time.Duration{0: time.Hour, -10 * time.Minute: 50 * time.Minute, -2 * time.Hour: 0} {
		if got := w.Known(until); got != want {
			t.Errorf("known before %v: %v, want %v", until, got, want)
		}
	}
	if whole, single := w.Demand(-2*time.Hour, w.Known(-2*time.Hour), time.Minute); len(whole)+len(single) != 0 {
		t.Errorf("%d and %d values of a time that nothing is known about", len(whole), len(single))
	}
	if (Workload{}).Known(0) != 0 {
		t.Error("a workload without jobs knows of something")
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jobs.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const header = "timestamp,duration,num_gpus,gpu_time,cluster\n"

func TestReadTraceFindsTheSteepestHourOfTheBusiestCluster(t *testing.T) {
	lines := []string{"2017-10-09 00:00:00,60,1,60,quiet"}
	for range 3 {
		lines = append(lines, "2017-10-09 05:20:00,7200,2,1,busy")
	}
	lines = append(lines, "2017-10-09 00:00:00,60,1,60,busy") // out of order
	w, err := ReadTrace(TraceOptions{Path: write(t, header+strings.Join(lines, "\n")), Window: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if w.Cluster != "busy" || w.Input != "jobs.csv" || len(w.Jobs) != 4 {
		t.Errorf("cluster %q input %q, %d jobs", w.Cluster, w.Input, len(w.Jobs))
	}
	if n := len(w.Between(0, w.Window)); n != 3 {
		t.Errorf("%d jobs in the window from %v, want the rise of 3", n, w.Start)
	}
	if !slices.IsSortedFunc(w.Jobs, func(a, b Job) int { return int(a.At - b.At) }) {
		t.Error("jobs are not in order")
	}
}

func TestReadTraceSaysWhatIsWrong(t *testing.T) {
	good := header + "2017-10-09 07:01:55,66.0,1,66.0,a\n"
	tests := map[string]struct {
		content string
		options TraceOptions
		want    []string
	}{
		"empty file":        {"", TraceOptions{}, []string{"header", "timestamp, duration, num_gpus, cluster"}},
		"missing columns":   {"timestamp,gpus\n", TraceOptions{}, []string{"duration, num_gpus, cluster is missing", "timestamp, gpus"}},
		"no jobs":           {header, TraceOptions{}, []string{"no jobs"}},
		"negative duration": {good + "2017-10-09 07:01:55,-1,1,1,a\n", TraceOptions{}, []string{"line 3", "duration", "-1"}},
		"negative time":     {header + "-5,1,1,1,a\n", TraceOptions{}, []string{"line 2", "timestamp", "2006-01-02"}},
		"half a GPU":        {header + "5,1,0.5,1,a\n", TraceOptions{}, []string{"line 2", "num_gpus", "whole number"}},
		"NaN":               {header + "5,NaN,1,1,a\n", TraceOptions{}, []string{"duration"}},
		"too few fields":    {header + "5,1\n", TraceOptions{}, []string{"line 2"}},
		"unknown cluster":   {good, TraceOptions{Cluster: "z"}, []string{`no cluster "z"`, "there are a"}},
		"start outside":     {good, TraceOptions{Start: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}, []string{"START", "2017-10-09 07:01:55"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.options.Path, test.options.Window = write(t, test.content), time.Hour
			_, err := ReadTrace(test.options)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range append(test.want, test.options.Path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %q", err, want)
				}
			}
		})
	}
	if _, err := ReadTrace(TraceOptions{Path: "no-such-file"}); err == nil {
		t.Error("a missing file was accepted")
	}
}
