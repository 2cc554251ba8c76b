package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/test/cluster"
)

// extenderWait bounds what takes milliseconds on an idle machine; it is far below the five
// minutes after which the scheduler retries a pod by itself.
const extenderWait = 30 * time.Second

// extenderEnv is a control plane whose scheduler calls cmd/extender, which runs as its
// ServiceAccount with the RBAC of the manifests.
type extenderEnv struct {
	*cluster.Cluster
	binary, config, kubeconfig string
	address, health, metrics   string
	process                    *cluster.Process
	// lease is that of the schedulers, where they stand for election.
	lease string
	// serving are further settings of the extender's configuration, to serve with TLS.
	serving string
	// fills is how often placeholders were made for a burst.
	fills int
}

func newExtenderEnv(t *testing.T) *extenderEnv {
	t.Helper()
	return newExtenderEnvOn(t,
		extenderNodes("warm", 2), extenderNodes("busy", 1), extenderNodes("plain", 2),
		extenderNodes("burst", 10, corev1.Taint{Key: "test.dev/burst", Effect: corev1.TaintEffectNoSchedule}))
}

// extenderNodes are nodes of 8 GPUs with their name as the label pool.
func extenderNodes(name string, count int, taints ...corev1.Taint) cluster.NodeTemplate {
	return cluster.NodeTemplate{Name: name, Count: count, GPUs: 8, Labels: map[string]string{"pool": name}, Taints: taints}
}

func newExtenderEnvOn(t *testing.T, nodes ...cluster.NodeTemplate) *extenderEnv {
	t.Helper()
	e := &extenderEnv{address: loopAddress(t)}
	e.Cluster = cluster.ForTest(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, StaticNodes: nodes,
		SchedulerExtenders: []configv1.Extender{handler.SchedulerEntry("http://"+e.address, string(cluster.GPU))},
	})
	e.install(t)
	return e
}

// install puts into the cluster what the extender needs, and starts it.
func (e *extenderEnv) install(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	for name, labels := range map[string]map[string]string{
		v1alpha1.SystemNamespace: nil, v1alpha1.PlaceholderNamespace: nil, "ml": {"team": "ml"}, "web": nil,
	} {
		if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join("..", "..", "manifests")
	if err := e.ApplyFiles(ctx, filepath.Join(root, "crd", "forewarm.dev_warmpools.yaml"), filepath.Join(root, "rbac", "extender.yaml"), filepath.Join(root, "rbac", "extender-account.yaml"), filepath.Join(root, "rbac", "extender-placeholders.yaml")); err != nil {
		t.Fatal(err)
	}
	var err error
	if e.kubeconfig, err = e.KubeconfigForServiceAccount(ctx, metav1.NamespaceSystem, "forewarm-extender"); err != nil {
		t.Fatal(err)
	}
	e.binary = filepath.Join(cluster.Programs(t), "extender")
	e.configure(t)
	e.start(t)
	e.createFixtures(t)
}

// configure writes the extender's configuration, for ports of its own beside its address.
func (e *extenderEnv) configure(t *testing.T) {
	t.Helper()
	e.health, e.metrics, e.config = loopAddress(t), loopAddress(t), filepath.Join(t.TempDir(), "config.yaml")
	e.write(t, true)
}

// write writes the configuration file, which says whether room is made ahead.
func (e *extenderEnv) write(t *testing.T, ahead bool) {
	t.Helper()
	content := fmt.Sprintf("apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\nextender: {address: %q, healthAddress: %q, metricsAddress: %q, clearAhead: %v, schedulerLease: %q, %s}\n", e.address, e.health, e.metrics, ahead, e.lease, e.serving)
	if err := os.WriteFile(e.config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs the extender and waits until it is ready.
func (e *extenderEnv) start(t *testing.T) {
	t.Helper()
	var err error
	// It outlives the part that starts it; the cluster's Stop ends it.
	e.process, err = e.StartProcess(context.WithoutCancel(t.Context()), "extender", e.binary, []string{"--config", e.config, "--kubeconfig", e.kubeconfig}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, extenderWait, func() error {
		response, err := http.Get("http://" + e.health + "/readyz")
		if err != nil {
			return fmt.Errorf("%w; its log:\n%s", err, e.process.Log())
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readiness %d; its log:\n%s", response.StatusCode, e.process.Log())
		}
		return nil
	})
}

// createFixtures makes a WarmPool of the nodes "warm" for namespace ml, which expects its
// owners, and PriorityClasses for placeholders and for work that anybody may preempt.
func (e *extenderEnv) createFixtures(t *testing.T) {
	t.Helper()
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	pool.Spec.Mode = v1alpha1.ModeEnforce
	pool.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "warm"}
	pool.Spec.Demand.Resource = cluster.GPU
	pool.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "ml"}
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "node", Requests: extenderGPUs(8), WaitCostPerHour: "400", IdleCostPerHour: "24", Max: 2}}
	pool.Spec.Forecast = v1alpha1.ForecastSpec{Interval: metav1.Duration{Duration: time.Minute}, History: metav1.Duration{Duration: time.Hour}}
	pool.Spec.Sizing = v1alpha1.SizingSpec{LeadTime: "1m", Hold: metav1.Duration{Duration: time.Minute}}
	for _, object := range []client.Object{
		pool,
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlaceholderPriorityClass}, Value: -10, PreemptionPolicy: ptr.To(corev1.PreemptNever)},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "cheap"}, Value: -100},
	} {
		if err := e.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	e.expect(t, 2)
}

// expect plays the reserver's report of how many placeholders the pool wants.
func (e *extenderEnv) expect(t *testing.T, wanted int32) {
	t.Helper()
	pool := &v1alpha1.WarmPool{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "a100"}, pool); err != nil {
		t.Fatal(err)
	}
	pool.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "node", Wanted: wanted}}
	if err := e.Client.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
}

func extenderGPUs(n int64) corev1.ResourceList {
	return corev1.ResourceList{cluster.GPU: *resource.NewQuantity(n, resource.DecimalSI)}
}

// extenderPod asks for GPUs on the nodes of a pool; with no pool, on any.
func extenderPod(namespace, name, pool string, gpus int64) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			Containers:                    []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.10"}},
		},
	}
	if pool != "" {
		pod.Spec.NodeSelector = map[string]string{"pool": pool}
	}
	if gpus > 0 {
		pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: extenderGPUs(gpus), Limits: extenderGPUs(gpus)}
	}
	return pod
}

// extenderPlaceholder is what the reserver would make, past its gate.
func extenderPlaceholder(name string) *corev1.Pod {
	pod := extenderPod(v1alpha1.PlaceholderNamespace, name, "warm", 8)
	pod.Labels = map[string]string{v1alpha1.LabelPool: "a100", v1alpha1.LabelChunk: "node"}
	pod.Spec.PriorityClassName = v1alpha1.PlaceholderPriorityClass
	return pod
}

// create makes a pod and waits until it is bound; it returns the node's name.
func (e *extenderEnv) create(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return e.bound(t, pod)
}

// bound waits until a pod has a node.
func (e *extenderEnv) bound(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	started := time.Now()
	cluster.Eventually(t, extenderWait, func() error {
		if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if pod.Spec.NodeName == "" {
			return fmt.Errorf("%s is not bound: %s", pod.Name, extenderCondition(pod))
		}
		return nil
	})
	t.Logf("%s bound to %s, seen after %s", pod.Name, pod.Spec.NodeName, time.Since(started).Round(time.Millisecond))
	return pod.Spec.NodeName
}

// refused waits until the scheduler says that a pod fits nowhere, in a message with want.
func (e *extenderEnv) refused(t *testing.T, pod *corev1.Pod, want string) {
	t.Helper()
	cluster.Eventually(t, extenderWait, func() error {
		if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if message := extenderCondition(pod); !strings.Contains(message, corev1.PodReasonUnschedulable) || !strings.Contains(message, want) {
			return fmt.Errorf("%s: %q on node %q, want Unschedulable with %q", pod.Name, message, pod.Spec.NodeName, want)
		}
		return nil
	})
}

func extenderCondition(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}

// untouched fails unless a pod still stands where it stood.
func (e *extenderEnv) untouched(t *testing.T, before *corev1.Pod) {
	t.Helper()
	now := &corev1.Pod{}
	if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(before), now); err != nil {
		t.Errorf("%s is gone: %v", before.Name, err)
	} else if now.UID != before.UID || now.Spec.NodeName != before.Spec.NodeName || now.DeletionTimestamp != nil {
		t.Errorf("%s was touched: node %q, deleted %v", before.Name, now.Spec.NodeName, now.DeletionTimestamp)
	}
}

// placeholders are the nodes that placeholders stand on.
func (e *extenderEnv) placeholders(t *testing.T) []string {
	t.Helper()
	var pods corev1.PodList
	if err := e.Client.List(t.Context(), &pods, client.InNamespace(v1alpha1.PlaceholderNamespace)); err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for i := range pods.Items {
		nodes = append(nodes, pods.Items[i].Spec.NodeName)
	}
	return nodes
}

// remove deletes pods and waits until they are gone.
func (e *extenderEnv) remove(t *testing.T, pods ...*corev1.Pod) {
	t.Helper()
	for _, pod := range pods {
		if err := e.Client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		cluster.Eventually(t, extenderWait, func() error {
			err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{})
			if err == nil {
				return errors.New(pod.Name + " still exists")
			}
			return client.IgnoreNotFound(err)
		})
	}
}

// requests counts the scheduler's calls by verb and result.
func (e *extenderEnv) requests(t *testing.T) map[string]float64 {
	t.Helper()
	families := metricsOf(t, http.DefaultClient, "http://"+e.metrics+"/metrics")
	counts := map[string]float64{}
	for _, m := range families["forewarm_extender_requests_total"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		counts[labels["verb"]+" "+labels["result"]] = m.GetCounter().GetValue()
	}
	return counts
}

// counter is the sum of one of the extender's counters over its labels.
func (e *extenderEnv) counter(t *testing.T, name string) float64 {
	t.Helper()
	sum := 0.0
	for _, m := range metricsOf(t, http.DefaultClient, "http://"+e.metrics+"/metrics")[name].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	return sum
}
