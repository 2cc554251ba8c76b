package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"forewarm.dev/test/cluster/assets"
)

// ForTest starts a cluster that is stopped with the test. Where the programs are missing the
// test fails, or is skipped with -short. When the test fails, the folder with the logs is kept.
func ForTest(t testing.TB, options Options) *Cluster {
	t.Helper()
	temporary := options.Dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "forewarm-cluster-")
		if err != nil {
			t.Fatalf("make a temporary folder: %v", err)
		}
		options.Dir = dir
	}
	c, err := Start(t.Context(), options)
	t.Cleanup(func() {
		if c != nil {
			if err := c.Stop(); err != nil {
				t.Errorf("stop the cluster: %v", err)
			}
		}
		switch {
		case !temporary:
		case t.Failed() && !assets.IsMissing(err):
			t.Logf("the cluster's logs are kept in %s/logs", options.Dir)
		default:
			_ = os.RemoveAll(options.Dir)
		}
	})
	if assets.IsMissing(err) && testing.Short() {
		t.Skipf("-short and no control plane: %v", err)
	}
	if err != nil {
		t.Fatalf("start the cluster: %v", err)
	}
	return c
}

// BuildBinaries builds every command of this module into dir, under its own name.
func BuildBinaries(ctx context.Context, dir string) error {
	store, err := assets.Open()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder for binaries: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", dir+string(os.PathSeparator), "./cmd/...")
	cmd.Dir = store.Root
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build ./cmd/...: %w\n%s", err, output)
	}
	return nil
}
