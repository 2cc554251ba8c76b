package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"forewarm.dev/test/cluster/assets"
)

// ForTest starts a cluster that is stopped with the test. Where the programs are missing the
// test fails, or is skipped with -short. When the test fails, the folder with the logs is kept. It
// fails too where one of our ServiceAccounts has asked for something that its rights do not allow.
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
	if options.AuditLog == "" {
		options.AuditLog, options.auditOurs = filepath.Join(options.Dir, "audit.log"), true
	}
	c, err := Start(t.Context(), options)
	t.Cleanup(func() {
		c.finish(t)
		if temporary && (!t.Failed() || assets.IsMissing(err)) {
			_ = os.RemoveAll(options.Dir)
		} else if temporary {
			t.Logf("the cluster's logs are kept in %s/logs", options.Dir)
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

// MayBeForbidden adds to what a test means to be forbidden, where it takes rights away while it runs.
func (c *Cluster) MayBeForbidden(part string) {
	c.options.MayBeForbidden = append(c.options.MayBeForbidden, part)
}

// finish stops the cluster, where it has started, and fails the test where our rights did not suffice.
func (c *Cluster) finish(t testing.TB) {
	t.Helper()
	if c == nil {
		return
	}
	if err := c.Stop(); err != nil {
		t.Errorf("stop the cluster: %v", err)
	}
	refused, err := Forbidden(c.options.AuditLog)
	if err != nil {
		t.Error(err)
	}
	for _, what := range refused {
		if !slices.ContainsFunc(c.options.MayBeForbidden, func(part string) bool { return strings.Contains(what, part) }) {
			t.Error(what)
		}
	}
}

// programs is where Programs has built, once it has.
var programs struct {
	sync.Mutex
	folder string
}

// Programs builds every command of this module and returns the folder that has them, each under its own name. All
// tests share it, and it stays, so that what has not changed is not linked again: nothing else is written there.
func Programs(t testing.TB) string {
	t.Helper()
	programs.Lock()
	defer programs.Unlock()
	if programs.folder != "" {
		return programs.folder
	}
	store, err := assets.Open()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(store.Root, "bin", "test")
	if err := BuildBinaries(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	programs.folder = folder
	return folder
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
