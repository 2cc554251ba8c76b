package reserver

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// TestOnlyTheLeaderLearns: forecasts, fits and trials are made within the loop or begun by it, and a
// manager starts that on its leader only.
func TestOnlyTheLeaderLearns(t *testing.T) {
	var loop manager.LeaderElectionRunnable = &Reserver{}
	if !loop.NeedLeaderElection() {
		t.Error("every replica runs the loop")
	}
}
