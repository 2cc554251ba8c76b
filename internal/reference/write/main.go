// Command write writes the pages of kinds and fields, docs/reference.md, from the CRDs of manifests/crd, and of
// the configuration file, docs/reference-config.md, from the source of internal/config.
package main

import (
	"errors"
	"fmt"
	"os"

	"forewarm.dev/internal/reference"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("say from where and to where, manifests/crd docs/reference.md internal/config docs/reference-config.md")
	}
	kinds, err := reference.Page(args[0])
	if err != nil {
		return err
	}
	settings, err := reference.Settings(args[2])
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(args[1], []byte(kinds), 0o644), os.WriteFile(args[3], []byte(settings), 0o644))
}
