package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/playground"
	"forewarm.dev/cmd/forewarmctl/series"
	"forewarm.dev/cmd/forewarmctl/simulation"
)

const (
	// plugin and completer are the names by which kubectl finds a plugin and what completes it.
	plugin    = "kubectl-forewarm"
	completer = "kubectl_complete-forewarm"
)

// command is the root of all commands.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "forewarmctl",
		Short: "See what Forewarm forecasts, plans and holds.",
		Long: `forewarmctl shows what Forewarm forecasts, plans and holds.

It reads the API server that KUBECONFIG or --kubeconfig leads to. Only approve, reject, disarm, arm, uninstall
and history import change it.`,
		Example: `  forewarmctl status
  forewarmctl plan a100
  forewarmctl explain deployment/web -n team
  source <(forewarmctl completion bash)`,
		Annotations:   map[string]string{},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String(connection.Flag, os.Getenv("KUBECONFIG"), "path of a kubeconfig; empty means the usual places")
	root.SetUsageTemplate(root.UsageTemplate() + exitCodes)
	root.AddCommand(
		statusCommand(),
		planCommand(),
		explainCommand(),
		doctorCommand(),
		auditCommand(),
		simulation.Command(),
		decisionsCommand(),
		replayCommand(),
		approveCommand(),
		rejectCommand(),
		disarmCommand(),
		armCommand(),
		uninstallCommand(),
		playground.Command(),
	)
	root.AddCommand(series.Commands()...)
	return root
}

// calledAs has the help name the program as it was called, and returns the arguments.
func calledAs(root *cobra.Command, args []string) []string {
	called := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	if called != plugin && called != completer {
		return args[1:]
	}
	root.Annotations[cobra.CommandDisplayNameAnnotation] = "kubectl forewarm"
	rename(root)
	if called == completer {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}

// rename has the texts of a command, and of those below it, say what one types with kubectl.
func rename(c *cobra.Command) {
	names := strings.NewReplacer("\n  source <(forewarmctl completion bash)", "", "forewarmctl ", "kubectl forewarm ")
	c.Long, c.Example = names.Replace(c.Long), names.Replace(c.Example)
	for _, child := range c.Commands() {
		rename(child)
	}
}
