package main

import (
	"fmt"
	"io"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"forewarm.dev/capacity/decisions"
	"forewarm.dev/internal/config"
)

// decisionLog keeps decisions as the configuration says. A file is appended to until the process ends.
func decisionLog(settings config.Decisions, manager ctrl.Manager) (*decisions.Log, error) {
	var lines io.Writer
	switch settings.Lines {
	case "":
	case config.Stdout:
		lines = os.Stdout
	default:
		file, err := os.OpenFile(settings.Lines, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("reserver.decisions.lines: %w; name a file in a folder that can be written to, or %s", err, config.Stdout)
		}
		lines = file
	}
	return decisions.New(decisions.Options{Live: manager.GetAPIReader(), Writer: manager.GetClient(), Keep: settings.Keep, Lines: lines}), nil
}
