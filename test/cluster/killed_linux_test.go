package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"forewarm.dev/test/cluster/assets"
)

// launchEnv makes this test binary a launcher that waits to be killed.
const launchEnv = "FOREWARM_TEST_LAUNCHER"

// TestKilledLauncher: nothing survives a launcher that is killed without a chance to clean up.
func TestKilledLauncher(t *testing.T) {
	if os.Getenv(launchEnv) != "" {
		launch(t)
		return
	}
	launcher := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledLauncher$", fmt.Sprintf("-test.short=%t", testing.Short()))
	launcher.Env = append(os.Environ(), launchEnv+"=1", "TMPDIR="+t.TempDir())
	output, err := launcher.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := launcher.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	failed := json.NewDecoder(output).Decode(&pids)
	if err := launcher.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = launcher.Wait()
	if failed != nil {
		t.Fatalf("the launcher did not come up: %v", failed)
	}
	if len(pids) == 0 {
		t.Skip("-short and no control plane")
	}
	Eventually(t, 10*time.Second, func() error { return gone(pids) })
}

// launch starts a small cluster, tells its processes on stderr, and never ends by itself.
func launch(t *testing.T) {
	c, err := Start(t.Context(), Options{})
	if assets.IsMissing(err) && testing.Short() {
		_ = json.NewEncoder(os.Stderr).Encode([]int{})
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = json.NewEncoder(os.Stderr).Encode(pidsOf(c))
	select {}
}
