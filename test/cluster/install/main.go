// Command install builds what the tests, the demo and the linters run into the cache outside
// the checkout: `install control-plane`, `install linters`, or both without an argument, and
// `install peers` what benchmarks compare with. `install scheduler-VERSION` builds an older
// kube-scheduler, and prints the folder that holds it, for KUBEBUILDER_ASSETS.
// Linters are linked into ./bin too.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"forewarm.dev/test/cluster/assets"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, sets []string) error {
	store, err := assets.Open()
	if err != nil {
		return err
	}
	if len(sets) == 0 {
		sets = []string{"control-plane", "linters"}
	}
	for _, set := range sets {
		switch set {
		case "control-plane":
			err = store.Install(ctx, os.Stdout, assets.ControlPlane...)
		case "linters":
			if err = store.Install(ctx, os.Stdout, assets.Linters...); err == nil {
				err = link(store)
			}
		case "peers":
			err = store.Install(ctx, os.Stdout, assets.Peers...)
		case "scheduler-1.36":
			err = older(ctx, store, assets.Scheduler136)
		case "scheduler-1.35":
			err = older(ctx, store, assets.Scheduler135)
		default:
			err = fmt.Errorf("unknown set %q; write control-plane, linters, peers, scheduler-1.36 or scheduler-1.35", set)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// older builds an older scheduler and prints where it is; progress goes to standard error.
func older(ctx context.Context, store assets.Store, name string) error {
	if err := store.Install(ctx, os.Stderr, name); err != nil {
		return err
	}
	paths, err := store.Find(name)
	if err != nil {
		return err
	}
	fmt.Println(filepath.Dir(paths[name]))
	return nil
}

// link makes ./bin/NAME lead to each linter in the cache.
func link(store assets.Store) error {
	paths, err := store.Find(assets.Linters...)
	if err != nil {
		return err
	}
	bin := filepath.Join(store.Root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("make ./bin: %w", err)
	}
	for name, path := range paths {
		place := filepath.Join(bin, name)
		if now, err := os.Readlink(place); err == nil && now == path {
			continue
		}
		if err := os.RemoveAll(place); err != nil {
			return fmt.Errorf("replace %s: %w", place, err)
		}
		if err := os.Symlink(path, place); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}
