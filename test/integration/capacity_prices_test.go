package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// prices writes the file of prices that the reserver reads.
func (e *loopEnv) prices(t *testing.T, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(e.folder, "prices.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// capacityPrices: five of Karpenter's nodes cost what a file says, one of them what is written on it, and a
// file that is none is told of while the last one counts. The next part approves at these prices.
func capacityPrices(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	priced := func(cost, source, problem string) {
		t.Helper()
		cluster.Eventually(t, loopWait, func() error {
			pool, chunk, err := e.status(ctx, loopName)
			if err != nil {
				return err
			}
			if chunk.Price == nil || *chunk.Price != (v1alpha1.PriceStatus{IdleCostPerHour: cost, Source: source}) {
				return fmt.Errorf("price %+v, want %s from %s", chunk.Price, cost, source)
			}
			c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionPricesUnreadable)
			if c == nil || (c.Status == metav1.ConditionTrue) != (problem != "") || !strings.Contains(c.Message, problem) {
				return fmt.Errorf("condition %+v, want %q told", c, problem)
			}
			return nil
		})
	}
	e.prices(t, `prices: [{instanceType: gpu-8x, capacityType: spot, perHour: "9"}, {instanceType: gpu-8x, capacityType: on-demand, perHour: "24.5"}]`)
	priced("24.5", "File", "")
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"forewarm.dev/price-per-hour":"34.5"}}}`))
	if err := e.Client.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: e.warmNode(t)}}, patch); err != nil {
		t.Fatal(err)
	}
	priced("26.5", "Annotation, File", "")
	e.prices(t, `prices: [{instanceType: gpu-8x, perHour: "24,5"}]`)
	priced("26.5", "Annotation, File", filepath.Join(e.folder, "prices.yaml")+`: prices[0].perHour: "24,5" is no price`)
	out, complaints, code := e.run(t, "forewarmctl", "status", loopName, "--kubeconfig", e.Kubeconfig)
	if code != 0 || !strings.Contains(out, "prices[0].perHour") {
		t.Errorf("exit code %d, %s; want the problem in:\n%s", code, complaints, out)
	}
}
