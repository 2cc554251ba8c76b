// Command chaos runs Forewarm on a real control plane under load, kills, stops and cuts off its
// processes and those of the control plane in an order that a seed decides, and holds it to its
// invariants throughout. See docs/reliability.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
)

// settings are the flags.
type settings struct {
	seed     uint64
	duration time.Duration
	pause    time.Duration
	clocks   bool
	only     string
	folder   string
	crowd    crowd
}

func main() {
	ctrl.SetLogger(logr.Discard())
	var s settings
	pflag.Uint64Var(&s.seed, "seed", 1, "decides load and faults")
	pflag.DurationVar(&s.duration, "duration", 15*time.Minute, "how long faults are injected; the last one is waited for")
	pflag.DurationVar(&s.pause, "pause", 800*time.Millisecond, "mean time between two writes of each of the writers")
	pflag.BoolVar(&s.clocks, "clock", true, "build processes whose clocks can jump, which takes minutes the first time")
	pflag.StringVar(&s.only, "only", "", "inject only faults whose name and target hold this, such as 'kill reserver'")
	pflag.IntVar(&s.crowd.nodes, "nodes", 0, "fill the cluster with so many more nodes")
	pflag.IntVar(&s.crowd.pods, "pods", 0, "and so many pods that run on them")
	pflag.StringVar(&s.folder, "folder", "", "keep logs, data and the audit log here; empty for a temporary one, which is kept where the run fails")
	pflag.Parse()
	if s.crowd.nodes < 0 || s.crowd.pods < 0 || s.crowd.pods > crowdMost*s.crowd.nodes {
		fmt.Fprintf(os.Stderr, "chaos: --nodes %d, --pods %d: give no negative numbers, and at most %d pods a node\n", s.crowd.nodes, s.crowd.pods, crowdMost)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, s); err != nil {
		fmt.Fprintf(os.Stderr, "chaos: %v\n", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

// start makes the folder, and keeps it where the run fails.
func start(ctx context.Context, s settings) error {
	temporary := s.folder == ""
	if temporary {
		var err error
		if s.folder, err = os.MkdirTemp("", "forewarm-chaos-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return err
	}
	err := run(ctx, s)
	switch {
	case err != nil:
		return fmt.Errorf("%w\nlogs are in %s/logs, the audit log is %s/audit.log", err, s.folder, s.folder)
	case temporary:
		return errors.Join(err, os.RemoveAll(s.folder))
	}
	return nil
}
