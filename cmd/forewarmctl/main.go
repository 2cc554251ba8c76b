// Command forewarmctl shows what Forewarm sees and does. It is also a kubectl plugin: as
// kubectl-forewarm on the PATH it answers to "kubectl forewarm".
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"forewarm.dev/cmd/forewarmctl/simulation"
)

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintf(os.Stderr, "forewarmctl: %v\n", err)
		os.Exit(1)
	}
}

// command is the root of all commands.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "forewarmctl",
		Short: "See what Forewarm forecasts, plans and holds.",
		Long: `forewarmctl shows what Forewarm forecasts, plans and holds.

It reads the API server that KUBECONFIG or --kubeconfig leads to. Only approve, disarm, arm, uninstall and
history import change it.`,
		Example: `  forewarmctl status
  forewarmctl explain deployment/web -n team
  source <(forewarmctl completion bash)`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("kubeconfig", os.Getenv("KUBECONFIG"), "path of a kubeconfig; empty means the usual places")
	root.SetUsageTemplate(root.UsageTemplate() + exitCodes)
	root.AddCommand(
		statusCommand(),
		explainCommand(),
		doctorCommand(),
		auditCommand(),
		simulation.Command(),
		decisionsCommand(),
		replayCommand(),
		approveCommand(),
		disarmCommand(),
		armCommand(),
		uninstallCommand(),
		forecastCommand(),
		backtestCommand(),
		historyCommand(),
	)
	return root
}
