// Command write writes the page of kinds and fields, docs/reference.md, from the CRDs of manifests/crd.
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
	if len(args) != 2 {
		return errors.New("say the folder of the CRDs and the page, manifests/crd docs/reference.md")
	}
	page, err := reference.Page(args[0])
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], []byte(page), 0o644)
}
