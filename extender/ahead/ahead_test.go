package ahead

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

const gpu = "nvidia.com/gpu"

func pod(namespace, name, node string, priority int32) *corev1.Pod {
	asks := corev1.ResourceList{gpu: resource.MustParse("1")}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
	p.Spec.NodeName, p.Spec.Priority = node, &priority
	p.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Requests: asks}}}
	return p
}

// bursting is an index with a node full of so many placeholders and as many pods that wait, and a function
// that asks it about the first of them.
func bursting(count int) (x *handler.Index, placeholders []client.Object, ask func()) {
	x = handler.NewIndex("hold")
	for _, name := range []string{"ml", "hold"} {
		x.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}})
	}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	pool.Spec.Mode, pool.Spec.Demand.Resource = v1alpha1.ModeEnforce, gpu
	pool.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "ml"}
	pool.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "single", Wanted: 1}}
	x.SetPool(pool)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "warm", Labels: map[string]string{"pool": "a100"}}}
	node.Status.Allocatable = corev1.ResourceList{gpu: *resource.NewQuantity(int64(count), resource.DecimalSI), corev1.ResourcePods: resource.MustParse("1k")}
	x.SetNode(node)
	victims := handler.CandidateVictims{Pods: []types.UID{"hold-0"}}
	for i := range count {
		p := pod("hold", fmt.Sprint("hold-", i), "warm", -10)
		p.Labels, p.Spec.PriorityClassName = map[string]string{v1alpha1.LabelPool: "a100"}, v1alpha1.PlaceholderPriorityClass
		x.SetPod(p)
		placeholders = append(placeholders, p)
		x.SetPod(pod("ml", fmt.Sprint("job-", i), "", 1))
	}
	return x, placeholders, func() { x.SelectVictims(pod("ml", "job-0", "", 1), handler.Candidates{"warm": victims}) }
}

// TestClearer: for each pod alike but the first, which the scheduler preempts for, a placeholder is
// deleted, unless the API server refuses, or it is off. More than may go at once go on as the limit allows.
func TestClearer(t *testing.T) {
	for name, test := range map[string]struct {
		on             bool
		count          int
		refuses        error
		want, ok, fail float64
	}{
		"it clears":         {true, 8, nil, 1, 7, 0},
		"more than at once": {true, 231, nil, 1, 230, 0},
		"it is off":         {false, 8, nil, 8, 0, 0},
		"it may not":        {true, 8, errors.New("no"), 8, 0, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, placeholders, ask := bursting(test.count)
				refuse := interceptor.Funcs{Delete: func(ctx context.Context, c client.WithWatch, object client.Object, o ...client.DeleteOption) error {
					if test.refuses != nil {
						return test.refuses
					}
					return c.Delete(ctx, object, o...)
				}}
				registry := prometheus.NewRegistry()
				c := &Clearer{
					Index: x, On: test.on, Metrics: metrics.New(x, registry), Log: logr.Discard(),
					Client: fake.NewClientBuilder().WithObjects(placeholders...).WithInterceptorFuncs(refuse).Build(),
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				go func() { _ = c.Start(ctx) }()
				synctest.Wait()
				ask()
				time.Sleep(time.Second)
				synctest.Wait()
				var left corev1.PodList
				if err := c.Client.List(ctx, &left); err != nil {
					t.Fatal(err)
				}
				if len(left.Items) != int(test.want) {
					t.Errorf("%d placeholders are left, want %v", len(left.Items), test.want)
				}
				ok, failed := cleared(t, registry)
				if ok != test.ok || failed > test.fail || (failed > 0) != (test.fail > 0) {
					t.Errorf("counted %v, and %v failed; want %v and at most %v", ok, failed, test.ok, test.fail)
				}
			})
		})
	}
}

func cleared(t *testing.T, registry *prometheus.Registry) (ok, failed float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var family *dto.MetricFamily
	for _, f := range families {
		if f.GetName() == "forewarm_extender_placeholders_cleared_total" {
			family = f
		}
	}
	for _, m := range family.GetMetric() {
		if m.GetLabel()[0].GetValue() == "ok" {
			ok = m.GetCounter().GetValue()
		} else {
			failed = m.GetCounter().GetValue()
		}
	}
	return ok, failed
}
