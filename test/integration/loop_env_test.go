package integration

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

const (
	// loopWait bounds what takes seconds on an idle machine.
	loopWait = time.Minute
	// loopWindow is how long a thing must not happen. Karpenter buys within two seconds (its
	// batch of at most one, and one), the reserver plans every second.
	loopWindow = 5 * time.Second
	// loopTakeover is how long a takeover may take: the scheduler's two attempts, no node.
	loopTakeover = 5 * time.Second
	loopBoot     = 2 * time.Second
)

// loopEnv is a control plane with Karpenter and our processes, each run as its
// ServiceAccount with the RBAC of the manifests.
type loopEnv struct {
	*cluster.Cluster
	folder, audit, extenderURL string
	settings                   string // of the reserver, beyond addresses
	person                     string // the token of who looks at the console; empty until it runs
	taken                      time.Time
	processes                  map[string]*loopProcess
	pods                       *loopPods
	metrics                    map[string]bool // names of ours that any process has served
	prometheus                 *cluster.Prometheus
}

// loopProcess is one run of a binary of ours.
type loopProcess struct {
	*cluster.Process
	health, metrics, calls, token string
	// serves is where the console is.
	serves string
}

// newLoopEnv starts one whose nodes Karpenter makes in some zones; in one that the test need not know, if none.
func newLoopEnv(t *testing.T, zones ...string) *loopEnv {
	t.Helper()
	address := loopAddress(t)
	folder := t.TempDir()
	e := &loopEnv{
		folder: folder, audit: filepath.Join(folder, "audit.log"), extenderURL: address,
		processes: map[string]*loopProcess{}, pods: &loopPods{}, metrics: map[string]bool{},
	}
	tier := map[string]string{"tier": "gpu"}
	never := func(name string) cluster.NodePool {
		return cluster.NodePool{Name: name, ConsolidateAfter: "Never"}
	}
	warm := never("warm")
	warm.Labels = tier
	e.Cluster = cluster.ForTest(t, cluster.Options{
		MayBeForbidden: []string{"/pods/touched-by-"}, // loopTouch tries what our accounts must not do
		Scheduler:      true, ControllerManager: true, KWOK: true, Karpenter: true,
		NodeBootDelay: loopBoot, BatchIdle: 200 * time.Millisecond, BatchMax: time.Second,
		SchedulerExtenders: []configv1.Extender{handler.SchedulerEntry("http://"+address, string(cluster.GPU))},
		Zones:              zones,
		NodePools:          []cluster.NodePool{warm, never("plain")},
		StaticNodes: []cluster.NodeTemplate{
			{Name: "other", Count: 1, GPUs: 8, Labels: tier},
			{Name: "free", Count: 1, GPUs: 8, Labels: map[string]string{"pool": "free"}},
		},
		AuditLog: e.audit,
		// As on OpenShift: who has an owner's deletion wait must be allowed to change its finalizers.
		ExtraArgs: map[string][]string{assets.APIServer: {"--enable-admission-plugins=OwnerReferencesPermissionEnforcement"}},
	})
	ctx := t.Context()
	for name, labels := range map[string]map[string]string{v1alpha1.SystemNamespace: nil, v1alpha1.PlaceholderNamespace: nil, "ml": {"team": "ml"}, "web": nil} {
		if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}); err != nil {
			t.Fatal(err)
		}
	}
	// What the chart gives where nobody has asked for more: drainer.yaml and calls.yaml come with what needs them.
	if err := e.ApplyFiles(ctx, manifestsOf(t, "crd/*.yaml", "rbac/webhook*.yaml", "rbac/extender*.yaml", "rbac/reserver.yaml", "policy/*.yaml")...); err != nil {
		t.Fatal(err)
	}
	e.prometheus = cluster.PrometheusForTest(t)
	e.pods.watch(t, e.Cluster)
	e.fixtures(t)
	return e
}

// manifestsOf are the files of manifests by patterns, each of which finds one at least.
func manifestsOf(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, pattern := range patterns {
		some, err := filepath.Glob(filepath.Join("..", "..", "manifests", filepath.FromSlash(pattern)))
		if err != nil || len(some) == 0 {
			t.Fatalf("manifests/%s: %v, %v", pattern, some, err)
		}
		files = append(files, some...)
	}
	return files
}

// grant gives the reserver what a file of manifests/rbac holds that only some ask for, and waits until it may.
func (e *loopEnv) grant(t *testing.T, file string, what authorizationv1.ResourceAttributes) {
	t.Helper()
	if err := e.ApplyFiles(t.Context(), manifestsOf(t, "rbac/"+file)...); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, loopWait, func() error {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + v1alpha1.SystemNamespace + ":forewarm-reserver", ResourceAttributes: &what,
		}}
		if err := e.Client.Create(t.Context(), review); err != nil || !review.Status.Allowed {
			return fmt.Errorf("the reserver may not %+v yet, %w", what, err)
		}
		return nil
	})
}

// fixtures makes real work that costs less than anything to preempt, on a node of its own.
func (e *loopEnv) fixtures(t *testing.T) {
	t.Helper()
	cheap := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "cheap"}, Value: -100}
	if err := e.Client.Create(t.Context(), cheap); err != nil {
		t.Fatal(err)
	}
	pod := loopPod("web", "cheap", 8, map[string]string{corev1.LabelHostname: "other-0"})
	pod.Spec.PriorityClassName = "cheap"
	e.create(t, pod)
	e.bound(t, pod)
}

// loopNamespace is where the ServiceAccount of a process is.
func loopNamespace(kind string) string {
	if kind == "extender" {
		return metav1.NamespaceSystem
	}
	return v1alpha1.SystemNamespace
}

// start runs a binary of ours and waits until it is ready. name tells runs apart.
func (e *loopEnv) start(t *testing.T, kind, name string, args ...string) *loopProcess {
	t.Helper()
	kubeconfig, err := e.KubeconfigForServiceAccount(t.Context(), loopNamespace(kind), "forewarm-"+kind)
	if err != nil {
		t.Fatal(err)
	}
	access, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	p := &loopProcess{health: loopAddress(t), metrics: loopAddress(t), calls: loopAddress(t), token: access.BearerToken}
	section := map[string]string{"extender": fmt.Sprintf("address: %q, schedulerLease: '', ", e.extenderURL), "reserver": fmt.Sprintf("decisions: {keep: 200, lines: %q}, %s", filepath.Join(e.folder, "decisions.jsonl"), e.settings)}[kind]
	if kind == "reserver" {
		secret := filepath.Join(e.folder, "secret")
		if err := os.WriteFile(secret, []byte(loopSecret), 0o600); err != nil {
			t.Fatal(err)
		}
		section += fmt.Sprintf("calls: {address: %q, secretFile: %q}, ", p.calls, secret)
	}
	prices := filepath.Join(e.folder, "prices.yaml")
	if _, err := os.Stat(prices); err == nil && kind == "reserver" {
		section += fmt.Sprintf("prices: {file: %q}, ", prices)
	}
	if kind == "console" {
		p.serves = loopAddress(t)
		section = fmt.Sprintf("address: %q, ", p.serves)
	}
	if kind == "webhook" {
		address := loopAddress(t)
		section = fmt.Sprintf(`address: %q, url: "https://%s", drainSeconds: 0, `, address, address)
	}
	config := e.config(t, fmt.Sprintf("%s: {%shealthAddress: %q, metricsAddress: %q}", kind, section, p.health, p.metrics))
	// It outlives the part that starts it; the cluster's Stop ends it.
	ctx := context.WithoutCancel(t.Context())
	if p.Process, err = e.StartProcess(ctx, name, filepath.Join(cluster.Programs(t), kind), append(args, "--config", config, "--kubeconfig", kubeconfig), nil); err != nil {
		t.Fatal(err)
	}
	e.processes[kind] = p
	var targets []string
	for _, running := range e.processes {
		targets = append(targets, running.metrics)
	}
	if err := e.prometheus.Scrape(targets...); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, loopWait, func() error {
		response, err := http.Get("http://" + p.health + "/readyz")
		if err != nil {
			return fmt.Errorf("%w; its log:\n%s", err, p.Log())
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: readiness %d; its log:\n%s", name, response.StatusCode, p.Log())
		}
		return nil
	})
	return p
}

// config writes a configuration file with the given sections and returns its path.
func (e *loopEnv) config(t *testing.T, sections string) string {
	t.Helper()
	file, err := os.CreateTemp(e.folder, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := fmt.Fprintf(file, "apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\n%s\n", sections); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// scrape reads the metrics of ours that a process serves: the sum of each family's values.
func (e *loopEnv) scrape(t *testing.T, p *loopProcess) map[string]float64 {
	t.Helper()
	families := metricsOf(t, http.DefaultClient, "http://"+p.metrics+"/metrics")
	sums := map[string]float64{}
	for name, family := range families {
		if !strings.HasPrefix(name, "forewarm_") {
			continue
		}
		e.metrics[name] = true
		for _, m := range family.GetMetric() {
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sums
}

// loopPod asks for GPUs; it may run anywhere that labels select.
func loopPod(namespace, name string, gpus int64, labels map[string]string) *corev1.Pod {
	pod := extenderPod(namespace, name, "", gpus)
	pod.Spec.NodeSelector = maps.Clone(labels)
	return pod
}

func (e *loopEnv) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := e.Client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// bound waits until a pod has a node.
func (e *loopEnv) bound(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	started := time.Now()
	cluster.Eventually(t, loopWait, func() error {
		if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if pod.Spec.NodeName == "" {
			return fmt.Errorf("%s is not bound: %s", pod.Name, extenderCondition(pod))
		}
		return nil
	})
	t.Logf("%s bound to %s, seen after %s", pod.Name, pod.Spec.NodeName, time.Since(started).Round(10*time.Millisecond))
	return pod.Spec.NodeName
}

// loopNever fails if condition returns an error at any time within window.
func loopNever(t *testing.T, window time.Duration, condition func() error) {
	t.Helper()
	end := time.Now().Add(window)
	cluster.Eventually(t, window+loopWait, func() error {
		if err := condition(); err != nil {
			t.Fatalf("within %s: %v", window, err)
		}
		if time.Now().Before(end) {
			return fmt.Errorf("the window of %s is not over", window)
		}
		return nil
	})
}

// loopAddress is one of loopback for a process that starts later.
func loopAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", webhookPort(t))
}

// loopPods keeps what a watch has told of placeholder pods.
type loopPods struct {
	mu        sync.Mutex
	seen      map[string]bool // names
	ungated   []string        // born without a gate
	preempted []string        // told to go by the scheduler
	otherwise []string        // gone without
}

func (p *loopPods) watch(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	p.seen = map[string]bool{}
	watcher, err := client.NewWithWatch(c.RESTConfig(), client.Options{Scheme: c.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	events, err := watcher.Watch(t.Context(), &corev1.PodList{}, client.InNamespace(v1alpha1.PlaceholderNamespace))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	go func() {
		for event := range events.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok {
				p.note(event.Type, pod)
			}
		}
	}()
}

func (p *loopPods) note(event watch.EventType, pod *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event {
	case watch.Added:
		p.seen[pod.Name] = true
		if len(pod.Spec.SchedulingGates) == 0 {
			p.ungated = append(p.ungated, pod.Name)
		}
	case watch.Deleted:
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.DisruptionTarget && c.Reason == corev1.PodReasonPreemptionByScheduler {
				p.preempted = append(p.preempted, pod.Name)
				return
			}
		}
		p.otherwise = append(p.otherwise, pod.Name)
	}
}

// counts are how many placeholders were ever made, born ungated, preempted, and deleted otherwise.
func (p *loopPods) counts() (made, ungated, preempted, otherwise int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen), len(p.ungated), len(p.preempted), len(p.otherwise)
}

// loopPool is a WarmPool for namespaces of team ml, of the nodes of a Karpenter NodePool.
// Waiting costs nothing, so that min alone decides what is wanted.
func loopPool(name, nodePool string, least, most int32) *v1alpha1.WarmPool {
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	pool.Spec.Nodes.Selector.MatchLabels = map[string]string{"karpenter.sh/nodepool": nodePool}
	pool.Spec.Demand.Resource = cluster.GPU
	pool.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "ml"}
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single", Requests: extenderGPUs(1), WaitCostPerHour: "0", IdleCostPerHour: "3", Min: least, Max: most}}
	pool.Spec.Forecast = v1alpha1.ForecastSpec{Interval: metav1.Duration{Duration: time.Second}, History: metav1.Duration{Duration: time.Hour}}
	pool.Spec.Sizing = v1alpha1.SizingSpec{LeadTime: "3s", Hold: metav1.Duration{Duration: time.Hour}}
	return pool
}
