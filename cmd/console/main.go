// Command console shows Forewarm to people, in their browser.
package main

import (
	"context"
	"os"

	"github.com/go-logr/logr"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
)

const about = `console shows Forewarm to people, in their browser: pools with their demand and its forecast,
plans that wait for an approval, ceilings, decisions, and why a pod waits.

People sign in with a token of the cluster. What they see and do is what the cluster says that they
may: the console has no right to change anything.`

func main() { os.Exit(observe.Main("console", about, run)) }

func run(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Config) error {
	manager, err := wire(ctx, log, flags, settings)
	if err != nil {
		return err
	}
	return manager.Start(ctx)
}
