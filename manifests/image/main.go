// Command image makes container images of Forewarm's programs as OCI layouts, from scratch: no
// container engine, no base image. It may push them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// programs are the images that there are, each of the command of that name.
var programs = []string{"webhook", "extender", "reserver", "console", "forewarmctl"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	source := flags.String("source", "../..", "root of the checkout")
	output := flags.String("output", "../../bin/images", "folder of the OCI layouts, one below it per program")
	version := flags.String("version", "dev", "tag of the images, and what they say of themselves")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64", "platforms, with a comma between")
	registry := flags.String("push", "", "registry and folder to push to as well, such as registry.example.com/forewarm")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range programs {
		fmt.Printf("building %s for %s\n", name, *platforms)
		o := options{
			name: name, folder: *source, pkg: "./cmd/" + name, version: *version, platforms: strings.Split(*platforms, ","),
		}
		made, err := build(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		layout := filepath.Join(*output, name)
		if err := made.write(layout); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		digest, err := made.index.Digest()
		if err != nil {
			return err
		}
		fmt.Printf("%s  %s:%s in %s\n", digest, name, *version, layout)
		if *registry == "" {
			continue
		}
		reference := fmt.Sprintf("%s/%s:%s", *registry, name, *version)
		if err := made.push(ctx, reference); err != nil {
			return fmt.Errorf("push %s: %w", reference, err)
		}
		fmt.Println("pushed", reference)
	}
	return nil
}
