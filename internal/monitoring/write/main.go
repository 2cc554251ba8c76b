// Command write writes what internal/monitoring makes into a folder, manifests/monitoring.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"forewarm.dev/internal/monitoring"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("say one folder, manifests/monitoring")
	}
	folder := args[0]
	rules, err := os.ReadFile(filepath.Join(folder, "rules.yaml"))
	if err != nil {
		return err
	}
	files, err := monitoring.Files(rules)
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
