// Command write writes what is generated from the chart, below the folder that it is given.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"forewarm.dev/test/chart"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: write TOP-OF-THE-CHECKOUT")
		os.Exit(2)
	}
	slog.SetLogLoggerLevel(slog.LevelWarn) // Helm tells of every link that it follows
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "write: %v\n", err)
		os.Exit(1)
	}
}

func write(root string) error {
	files, err := chart.Files(context.Background(), root)
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(path)), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}
