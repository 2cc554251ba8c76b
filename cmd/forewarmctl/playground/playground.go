// Package playground is the command that runs the playground: a program of its own, which brings the
// control plane, and which a checkout builds beside forewarmctl.
package playground

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"forewarm.dev/cmd/forewarmctl/progress"
)

// program is what is run.
const program = "playground"

// Command is forewarmctl playground.
func Command() *cobra.Command {
	var assets, at string
	var empty bool
	c := &cobra.Command{
		Use:   "playground",
		Short: "Run a whole cluster to try Forewarm on, until interrupted",
		Long: `Start etcd, kube-apiserver, kube-scheduler, kube-controller-manager, nodes by KWOK, Karpenter and
all of Forewarm's processes on this machine, put a light load of GPU jobs on them, and print how to
reach them. An interrupt (Ctrl-C) stops and removes everything. Nothing of another cluster is read.

The programs must have been built, in a checkout of Forewarm: "make playground" builds and runs
them. This command then finds the playground beside itself, in the checkout's bin folder, or takes
--program; of the control plane it takes what $FOREWARM_CACHE has, and before that --assets.`,
		Example: `  forewarmctl playground
  forewarmctl playground --empty
  forewarmctl playground --assets /usr/local/kubebuilder/bin`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := find(at)
			if err != nil {
				return err
			}
			run, err := commandOf(found, assets, empty)
			if err != nil {
				return err
			}
			progress.At(c.Context(), "") // it tells by itself
			run.Stdin, run.Stdout, run.Stderr = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			if err := run.Start(); err != nil {
				return fmt.Errorf("start %s: %w", found, err)
			}
			return wait(c, run)
		},
	}
	c.Flags().StringVar(&at, "program", "", "the playground's program; empty means the one beside forewarmctl")
	c.Flags().StringVar(&assets, "assets", "", "folder with etcd, kube-apiserver and other programs of the control plane, which come before those that were built")
	c.Flags().BoolVar(&empty, "empty", false, "start without a WarmPool and without a load, as docs/tutorial.md wants it")
	return c
}

// find is the path of the program.
func find(at string) (string, error) {
	if at == "" {
		own, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find forewarmctl itself: %w; name the playground with --program", err)
		}
		if own, err = filepath.EvalSymlinks(own); err != nil {
			return "", fmt.Errorf("find forewarmctl itself: %w; name the playground with --program", err)
		}
		at = filepath.Join(filepath.Dir(own), program)
	}
	at, err := filepath.Abs(at)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no playground at %s: run make playground in a checkout of Forewarm, which builds it, or name one with --program", at)
	} else if err != nil {
		return "", fmt.Errorf("look for the playground: %w", err)
	}
	return at, nil
}

// commandOf runs the program in the checkout that it was built in, since the versions of the control
// plane and the manifests are read from there.
func commandOf(path, assets string, empty bool) (*exec.Cmd, error) {
	run := exec.Command(path)
	if empty {
		run.Args = append(run.Args, "--empty")
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			run.Dir = dir
			break
		}
		if dir == filepath.Dir(dir) {
			break // then it has to be run inside a checkout
		}
	}
	run.Env = os.Environ()
	if assets != "" {
		if info, err := os.Stat(assets); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("--assets %s is no folder: name one with etcd and kube-apiserver, or leave it out and run make tools", assets)
		}
		absolute, err := filepath.Abs(assets)
		if err != nil {
			return nil, err
		}
		run.Env = append(run.Env, "KUBEBUILDER_ASSETS="+absolute)
	}
	return run, nil
}

// wait hands an interrupt on, and waits until everything is removed.
func wait(c *cobra.Command, run *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	select {
	case err := <-ended:
		return failed(err)
	case <-c.Context().Done():
		_ = run.Process.Signal(os.Interrupt) // it may have got one from the terminal already, or be gone
		return failed(<-ended)
	}
}

func failed(err error) error {
	if err != nil {
		return fmt.Errorf("the playground ended with %w, see above", err)
	}
	return nil
}
