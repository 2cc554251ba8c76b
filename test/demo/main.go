// Command demo runs Forewarm's main job on a real control plane: the same GPU jobs arrive
// on Karpenter alone, on Karpenter with Forewarm, and on Karpenter with a constant number of
// placeholders that idles as much.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() { os.Exit(execute()) }

// execute returns the exit code: 0, 1 after a failure, 2 for wrong flags, 130 when interrupted.
func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(logr.Discard()) // progress and errors are printed here; processes log to files
	settings, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		return 2
	}
	err = run(ctx, settings, os.Stdout, os.Stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything that was started has been stopped")
		return 130
	case err != nil:
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}
