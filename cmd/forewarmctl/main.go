// Command forewarmctl shows what Forewarm sees and does. It is also a kubectl plugin: as
// kubectl-forewarm on the PATH it answers to "kubectl forewarm".
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"forewarm.dev/cmd/forewarmctl/progress"
)

func main() {
	root := command()
	root.SetArgs(calledAs(root, os.Args))
	if err := execute(ctrl.SetupSignalHandler(), root); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", root.DisplayName(), err)
		os.Exit(1)
	}
}

// execute runs a command, and tells on the standard error what it is at where that takes long.
func execute(ctx context.Context, root *cobra.Command) error {
	ctx, stop := progress.Start(ctx, root.ErrOrStderr(), "still at it")
	defer stop()
	return root.ExecuteContext(ctx)
}
