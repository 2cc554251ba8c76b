// Command extender measures what an extender costs the scheduler: scheduler_perf of Kubernetes
// with none, with Forewarm's for pods that do not concern it and for GPU pods, with a stub that
// thinks nothing, and with a plain one that sees every pod; then Forewarm's bare port.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// settings are what the user chose.
type settings struct {
	nodes    []int
	pods     int
	pairs    int
	limit    time.Duration
	portOnly bool
	packing  bool
	trace    string
	calls    int
	// perf, extender and stub are the programs.
	perf, extender, stub string
}

const about = `bench-extender runs scheduler_perf of Kubernetes with different extenders beside the
scheduler. All arms run in every round, in a new order each; it prints medians of the rounds'
pairs with 90 % intervals, and as its last line RESULT and JSON. It stops after the round in
which --time is over, and says how many pairs it has.

Flags:
`

func main() { os.Exit(execute()) }

// execute returns the exit code: 0, 1 after a failure, 2 for wrong flags, 130 when interrupted.
func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench-extender: %v\n", err)
		return 2
	}
	err = run(ctx, chosen, os.Stdout, os.Stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench-extender: interrupted; everything that was started has been stopped")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench-extender: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string) (settings, error) {
	var s settings
	flags := pflag.NewFlagSet("bench-extender", pflag.ContinueOnError)
	flags.IntSliceVar(&s.nodes, "nodes", []int{1000, 5000}, "numbers of nodes")
	flags.IntVar(&s.pods, "pods", 2000, "pods that are measured in each run; at least 1000")
	flags.IntVar(&s.pairs, "pairs", 15, "rounds; each is one pair per arm and number of nodes")
	flags.DurationVar(&s.limit, "time", 58*time.Minute, "begin no further round once this is over")
	flags.BoolVar(&s.portOnly, "port-only", false, "measure the bare port only, which takes seconds")
	flags.BoolVar(&s.packing, "packing", false, "measure only how GPUs are packed, in simulation")
	flags.StringVar(&s.trace, "trace", "", "for --packing: a CSV of jobs with columns timestamp, duration, num_gpus, cluster; empty means generated ones")
	flags.IntVar(&s.calls, "calls", 20_000, "calls at the bare port")
	flags.StringVar(&s.perf, "perf", "bin/scheduler-perf", "the test binary of test/bench/extender/perf")
	flags.StringVar(&s.extender, "extender", "bin/extender", "Forewarm's extender")
	flags.StringVar(&s.stub, "stub", "bin/extender-stub", "the program of test/bench/extender/stub")
	flags.Usage = func() { fmt.Fprint(os.Stderr, about, flags.FlagUsages()) }
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, errors.New("there are no arguments; see --help")
	}
	if err := s.validate(); err != nil {
		return s, err
	}
	for _, path := range []*string{&s.perf, &s.extender, &s.stub} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return s, err
		}
		*path = absolute
	}
	return s, nil
}

func (s settings) validate() error {
	if len(s.nodes) == 0 || s.pods < 1000 || s.pairs < 1 || s.limit <= 0 || s.calls < 100 {
		return errors.New("there must be nodes, 1000 pods, 100 calls, one pair and some time at least; see --help")
	}
	for _, n := range s.nodes {
		if n*gpusPerNode < s.pods {
			return fmt.Errorf("--nodes %d: %d pods of one GPU do not fit; give at least %d nodes or fewer --pods", n, s.pods, (s.pods+gpusPerNode-1)/gpusPerNode)
		}
	}
	return nil
}

func run(ctx context.Context, chosen settings, out, progress io.Writer) error {
	started := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, "[%4.0f s] %s\n", time.Since(started).Seconds(), fmt.Sprintf(format, args...))
	}
	if chosen.packing {
		return measurePacking(chosen.trace, out)
	}
	say("the bare port")
	port, err := measurePort(chosen.calls)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, port)
	result := result{Nodes: map[string]map[string]any{}, BareP99: port.p99.Seconds() * 1000, BareGarbage: port.garbage}
	if chosen.portOnly {
		return result.print(out)
	}
	b, err := prepare(chosen, say)
	if err != nil {
		return err
	}
	defer b.clean()
	figures, err := b.measure(ctx, started)
	if err != nil {
		return err
	}
	for _, n := range chosen.nodes {
		result.add(out, n, figures[n])
	}
	return result.print(out)
}
