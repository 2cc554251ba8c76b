package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/demo/live"
	"forewarm.dev/test/demo/play"
	"forewarm.dev/test/demo/stack"
)

// leastDecisions is how many plans there are before pictures are taken: about four minutes of them.
const leastDecisions = 45

// TestConsoleUnderLoad looks at the console of a real control plane on which all processes run under a load of
// jobs, and takes its pictures: nothing there is written by the test but the WarmPool and the jobs.
func TestConsoleUnderLoad(t *testing.T) {
	if *screenshots == "" && os.Getenv("FOREWARM_LONG") == "" {
		t.Skip("skipped: it takes minutes; make screenshots, or set FOREWARM_LONG=1")
	}
	if browserPath() == "" {
		t.Skip("no Chromium: make browser installs it, as root on Debian")
	}
	e := newLoaded(t)
	ctx := open(t)
	typed(t, ctx, e, e.token)
	shows(t, ctx, "Signed in as system:serviceaccount:default:alice", play.PoolName)
	if *screenshots != "" {
		takePictures(t, e, ctx, play.PoolName)
	}
}

// startLive starts all processes on a control plane of their own, with the WarmPool of the load; it returns them and
// where the console is.
func startLive(t *testing.T) (*cluster.Cluster, *stack.Stack, string) {
	t.Helper()
	ours, err := stack.New()
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.ForTest(t, live.Cluster(ours))
	if err := ours.Start(t.Context(), c, "../..", cluster.Programs(t)); err != nil {
		t.Fatal(err)
	}
	console, err := ours.StartConsole(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: live.Namespace}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Client.Create(t.Context(), live.Pool()); err != nil {
		t.Fatal(err)
	}
	return c, ours, console
}

// newLoaded is a control plane under load whose pool has acted for a while, and now waits for an approval.
func newLoaded(t *testing.T) *env {
	t.Helper()
	c, _, console := startLive(t)
	e := &env{Cluster: c, url: console}
	e.token = e.person(t, "alice", "cluster-admin")
	failed := make(chan error, 1)
	loading, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	go func() { failed <- live.Load(loading, e.Client) }()
	e.eventually(t, failed, func() error { return e.hasDecided(t.Context()) })
	change := []byte(fmt.Sprintf(`{"spec":{"mode":%q}}`, v1alpha1.ModeApprove))
	if err := e.Client.Patch(t.Context(), live.Pool(), client.RawPatch("application/merge-patch+json", change)); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, failed, func() error { return e.waitsForApproval(t.Context()) })
	return e
}

// eventually is cluster.Eventually while the load goes on.
func (e *env) eventually(t *testing.T, failed <-chan error, condition func() error) {
	t.Helper()
	cluster.Eventually(t, 5*time.Minute+patience, func() error {
		select {
		case err := <-failed:
			t.Fatalf("the load: %v", err)
		default:
		}
		return condition()
	})
}

// hasDecided: there are plans to draw.
func (e *env) hasDecided(ctx context.Context) error {
	var decisions v1alpha1.DecisionList
	if err := e.Client.List(ctx, &decisions); err != nil {
		return err
	}
	if len(decisions.Items) < leastDecisions {
		return fmt.Errorf("%d plans have been made, %d are waited for", len(decisions.Items), leastDecisions)
	}
	return nil
}

// waitsForApproval: the reserver has proposed growth, and nobody has decided about it.
func (e *env) waitsForApproval(ctx context.Context) error {
	var plans v1alpha1.CapacityPlanList
	if err := e.Client.List(ctx, &plans); err != nil {
		return err
	}
	for _, plan := range plans.Items {
		if plan.Spec.Approval == nil && plan.Spec.Rejection == nil && plan.Spec.Expires.After(time.Now()) {
			return nil
		}
	}
	return errors.New("no CapacityPlan waits for an approval")
}
