// Command webhook measures what admission costs: a no-op HTTPS webhook, a typed validator of
// controller-runtime, the in-tree ValidatingAdmissionPolicy and Forewarm, asked the same
// reviews in one run, at their bare ports and behind a real API server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
)

// settings are what the user chose.
type settings struct {
	rounds int
	// turns are those of every arm with all of them registered at once.
	turns     int
	rate      float64
	portTime  time.Duration
	writeTime time.Duration
	peers     bool
	// memory measures that instead, with so many objects.
	memory                bool
	namespaces, workloads int
	// watched is for how long CPU is looked at with memory, before cmd/webhook starts and while its
	// auditor looks at all objects for the first time.
	watched time.Duration
}

const about = `bench-webhook asks webhooks the same admission reviews. First a no-op and Forewarm take turns of
a few dry-run writes to a real API server. Then all are asked at their bare HTTPS ports as fast
as they answer, and through the API server at a fixed rate: all arms in every round, in a new
order each. It prints medians of the rounds' pairs with 90 % intervals, and as its last line
RESULT and JSON. It takes some 14 minutes, and stops and removes what it started, also when
interrupted.

Flags:
`

func main() { os.Exit(execute()) }

// execute returns the exit code: 0, 1 after a failure, 2 for wrong flags, 130 when interrupted.
func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(logr.Discard()) // progress and errors are printed here; processes log to files
	chosen, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench-webhook: %v\n", err)
		return 2
	}
	err = run(ctx, chosen, os.Stdout, os.Stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench-webhook: interrupted; everything that was started has been stopped")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench-webhook: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string) (settings, error) {
	var s settings
	flags := pflag.NewFlagSet("bench-webhook", pflag.ContinueOnError)
	flags.IntVar(&s.rounds, "rounds", 15, "rounds; each is one pair per arm; 0 measures in turns alone")
	flags.IntVar(&s.turns, "turns", 200, "turns of every arm while all are registered at once")
	flags.Float64Var(&s.rate, "rate", 75, "writes per second to the API server; what saturates the machine measures queues")
	flags.DurationVar(&s.portTime, "port-time", 600*time.Millisecond, "time per round and arm at the bare port")
	flags.DurationVar(&s.writeTime, "write-time", 1900*time.Millisecond, "time per round and arm at the API server")
	flags.BoolVar(&s.peers, "peers", false, "measure Gatekeeper and Kyverno too, which make peers builds")
	flags.BoolVar(&s.memory, "memory", false, "measure instead what cmd/webhook takes of memory in a full cluster")
	flags.IntVar(&s.namespaces, "namespaces", 10_000, "Namespaces for --memory")
	flags.IntVar(&s.workloads, "workloads", 100_000, "Deployments for --memory")
	flags.DurationVar(&s.watched, "watched", 30*time.Second, "for how long --memory looks at CPU, twice")
	flags.Usage = func() { fmt.Fprint(os.Stderr, about, flags.FlagUsages()) }
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.rounds < 0 || s.turns < 1 || s.rate <= 0 || s.portTime <= 0 || s.writeTime <= 0 || s.namespaces < 1 || s.workloads < 1 || s.watched <= 0 || flags.NArg() > 0 {
		return s, errors.New("turns, rate, times and numbers must be above zero, and there are no arguments; see --help")
	}
	return s, nil
}

// run does everything, and leaves nothing behind.
func run(ctx context.Context, chosen settings, out, progress io.Writer) (err error) {
	started := time.Now()
	b := &bench{settings: chosen, patience: 30 * time.Second, progress: func(format string, args ...any) {
		fmt.Fprintf(progress, "[%4.0f s] %s\n", time.Since(started).Seconds(), fmt.Sprintf(format, args...))
	}}
	defer func() {
		if b.cluster != nil {
			err = errors.Join(err, b.cluster.Stop())
		}
	}()
	if chosen.memory {
		return b.measureMemory(ctx, out)
	}
	if err := b.start(ctx); err != nil {
		return err
	}
	inTurns, err := b.measureInTurns(ctx)
	if err != nil {
		return err
	}
	b.machine(out)
	inTurns.table(out, b.settings)
	if b.settings.rounds == 0 {
		return nil
	}
	atPort, err := b.measurePort(ctx)
	if err != nil {
		return err
	}
	atServer, err := b.measureAPIServer(ctx)
	if err != nil {
		return err
	}
	return b.print(out, inTurns, atPort, atServer)
}
