package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"forewarm.dev/test/demo/arrivals"
)

// settings are what the user chose.
type settings struct {
	trace   string
	cluster string
	start   string
	hours   float64
	seed    uint64
	factor  float64
	// seeds are played and compared with the simulator; zero plays one, without.
	seeds int
	// keep is a file for what was measured, and again one from which it is compared anew, without playing.
	keep, again string
}

const about = `demo plays the same arrivals of GPU jobs three times on a real control plane: on Karpenter
alone, with Forewarm, and with a constant number of placeholders that idles as much. It
prints how long jobs waited and what idled, and as its last line RESULT and JSON.

Without --trace it plays a seeded generator fitted to figures of the Philly trace. It stops
and removes what it started, also when interrupted.

Examples:
  make demo
  make demo SEED=2
  make demo HOURS=0.25 ARGS='--simulate 3 --keep measured.json'
  make demo ARGS='--again measured.json'
  make demo TRACE=philly_jobs.csv.gz START='2017-10-09 05:00:00'

Flags:
`

func parse(args []string) (settings, error) {
	var s settings
	set := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	set.StringVar(&s.trace, "trace", "", "trace to replay: csv or csv.gz with the columns timestamp, duration, num_gpus, cluster")
	set.StringVar(&s.cluster, "cluster", "", "cluster of the trace (default: the busiest)")
	set.StringVar(&s.start, "start", "", "start of the window in the trace, as 2017-10-09 05:00:00 (default: the steepest rise of demand)")
	set.Float64Var(&s.hours, "hours", 1, "length of the window in hours")
	set.Uint64Var(&s.seed, "seed", 1, "seed of the generator")
	set.Float64Var(&s.factor, "factor", 20, "by how much time is compressed, from 1 to 20")
	set.IntVar(&s.seeds, "simulate", 0, "play so many seeds, from --seed on, and tell what the simulator says of each arm")
	set.StringVar(&s.keep, "keep", "", "file for what is measured")
	set.StringVar(&s.again, "again", "", "file that --keep wrote: simulate that again, and play nothing, whatever else is given")
	set.Usage = func() { fmt.Fprint(os.Stdout, about+set.FlagUsages()) }
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if set.NArg() > 0 {
		return s, errors.New("unexpected argument; demo takes flags only, see --help")
	}
	return s, s.validate()
}

func (s settings) validate() error {
	switch {
	case !(s.factor >= 1 && s.factor <= 20):
		return fmt.Errorf("--factor %v: write a number from 1 to 20; beyond, what cannot be compressed would distort the result", s.factor)
	case !(s.hours > 0 && s.hours <= 24):
		return fmt.Errorf("--hours %v: write a number above 0 and up to 24", s.hours)
	case s.trace == "" && (s.cluster != "" || s.start != ""):
		return errors.New("--cluster and --start choose a part of a trace: give --trace too")
	}
	if s.seeds < 0 || s.seeds > 1 && s.trace != "" {
		return fmt.Errorf("--simulate %d: write a number from 1 up; 1 with --trace, which has no seed", s.seeds)
	}
	return nil
}

// workload generates or reads the arrivals.
func (s settings) workload() (arrivals.Workload, error) {
	window := time.Duration(s.hours * float64(time.Hour))
	if s.trace == "" {
		return arrivals.Generate(s.seed, window), nil
	}
	start, err := arrivals.ParseStart(s.start)
	if err != nil {
		return arrivals.Workload{}, fmt.Errorf("--start %w", err)
	}
	w, err := arrivals.ReadTrace(arrivals.TraceOptions{Path: s.trace, Cluster: s.cluster, Start: start, Window: window})
	if err != nil {
		return w, err
	}
	if len(w.Between(0, window)) == 0 {
		return w, fmt.Errorf("no job arrives within %v from %s: choose another START or more HOURS", window, w.Start.Format(time.DateTime))
	}
	return w, nil
}
