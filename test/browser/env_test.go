package browser

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/config"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

const (
	// patience bounds what takes a second on an idle machine.
	patience = 2 * time.Minute
	// pool is the WarmPool, plan the CapacityPlan that waits, waiting a pod that does.
	pool, plan, waiting = "a100", "a100-20261130-101500", "train-0"
)

// env is a control plane, the console on it with its own rights, and a browser.
type env struct {
	*cluster.Cluster
	// url is the console's, token that of somebody who may look and approve.
	url, token string
	// reserver writes what the reserver would.
	reserver client.Client
	// decision is the last one that was made.
	decision string
}

// browserPath is that of Chromium; empty where there is none.
func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func newEnv(t *testing.T) *env {
	t.Helper()
	if browserPath() == "" {
		t.Skip("no Chromium: make browser installs it, as root on Debian")
	}
	e := &env{Cluster: cluster.ForTest(t, cluster.Options{})}
	store, err := assets.Open()
	if err != nil {
		t.Fatal(err)
	}
	e.prepare(t, store.Root)
	console, err := e.KubeconfigForServiceAccount(t.Context(), v1alpha1.SystemNamespace, "forewarm-console")
	if err != nil {
		t.Fatal(err)
	}
	e.url = e.serve(t, console)
	return e
}

// serve starts the console as its ServiceAccount, and answers where it is.
func (e *env) serve(t *testing.T, kubeconfig string) string {
	t.Helper()
	settings := config.Default()
	for _, address := range []*string{&settings.Console.Address, &settings.Console.MetricsAddress, &settings.Console.HealthAddress} {
		port, err := cluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		*address = fmt.Sprintf("127.0.0.1:%d", port)
	}
	data, err := yaml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	// The cluster's Stop ends it.
	p, err := e.StartProcess(context.WithoutCancel(t.Context()), "console", filepath.Join(cluster.Programs(t), "console"), []string{"--config", path, "--kubeconfig", kubeconfig, "--verbosity=10"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		response, err := http.Get("http://" + settings.Console.HealthAddress + "/readyz")
		if err != nil {
			return fmt.Errorf("%w; its log:\n%s", err, p.Log())
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the console is not ready: %s; its log:\n%s", response.Status, p.Log())
		}
		return nil
	})
	return "https://" + settings.Console.Address
}

// prepare installs what the console needs, and makes what it shows.
func (e *env) prepare(t *testing.T, root string) {
	t.Helper()
	at := func(parts ...string) string { return filepath.Join(append([]string{root, "manifests"}, parts...)...) }
	crds, err := filepath.Glob(at("crd", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{v1alpha1.SystemNamespace, v1alpha1.PlaceholderNamespace} {
		if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.ApplyFiles(t.Context(), append(crds, at("rbac", "console.yaml"), at("rbac", "reserver.yaml"), at("policy", "capacityplans.yaml"), at("samples", "approver.yaml"))...); err != nil {
		t.Fatal(err)
	}
	e.token = e.person(t, "alice", "cluster-admin")
	path, err := e.KubeconfigForServiceAccount(t.Context(), v1alpha1.SystemNamespace, "forewarm-reserver")
	if err != nil {
		t.Fatal(err)
	}
	reserver, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if e.reserver, err = client.New(reserver, client.Options{Scheme: e.Client.Scheme()}); err != nil {
		t.Fatal(err)
	}
	e.makePool(t)
	e.makeDemand(t)
	e.makePods(t)
	cluster.Eventually(t, patience, func() error { return e.reserver.Create(t.Context(), capacityPlan(plan, 3)) }) // once the policy knows it
}

// person makes an account with a ClusterRole, and answers its token.
func (e *env) person(t *testing.T, name, role string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	for _, object := range []client.Object{account, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: name}},
	}} {
		if err := e.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	request := &authenticationv1.TokenRequest{}
	if err := e.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

func (e *env) makePool(t *testing.T) {
	t.Helper()
	p := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: pool}, Spec: v1alpha1.WarmPoolSpec{
		Mode:   v1alpha1.ModeApprove,
		Nodes:  v1alpha1.NodeSelection{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"pool": pool}}},
		Demand: v1alpha1.DemandSelection{Resource: cluster.GPU},
		Chunks: []v1alpha1.Chunk{{Name: "single", Max: 16, WaitCostPerHour: "60", IdleCostPerHour: "3", Requests: corev1.ResourceList{cluster.GPU: *quantity(1)}}},
		Forecast: v1alpha1.ForecastSpec{
			Interval: metav1.Duration{Duration: 5 * time.Minute}, History: metav1.Duration{Duration: 7 * 24 * time.Hour},
		},
		Sizing: v1alpha1.SizingSpec{LeadTime: v1alpha1.Auto, Hold: metav1.Duration{Duration: 10 * time.Minute}},
	}}
	if err := e.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	e.status(t, 5)
}

// status says that so many placeholders hold capacity.
func (e *env) status(t *testing.T, reserved int32) {
	t.Helper()
	p := &v1alpha1.WarmPool{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: pool}, p); err != nil {
		t.Fatal(err)
	}
	p.Status = v1alpha1.WarmPoolStatus{
		Nodes: 4, LeadTime: &v1alpha1.LeadTimeStatus{Used: metav1.Duration{Duration: 4 * time.Minute}, Source: "Learned"},
		Chunks: []v1alpha1.ChunkStatus{{
			Name: "single", Demand: "21", Wanted: 8, Reserved: reserved, Pending: 8 - reserved, Gated: 3, Free: 2, Limited: 3,
			Forecast: &v1alpha1.ChunkForecast{P50: "24", P90: "29", Level: "30", Tau: "0.93", Source: "Auto", Reason: "EnoughHistory", Sizing: "ForecastDemand"},
			Policy:   &v1alpha1.PolicyStatus{Kind: "Forecast", Reason: "CheapestOnHistory"},
		}},
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWaitingForApproval, LastTransitionTime: metav1.Now(),
			Message: "CapacityPlan " + plan + " asks for 3 nodes at 9 per hour",
		}},
	}
	if err := e.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// makeDemand records three days of demand with a day's rise and fall, and decisions of the last hours.
func (e *env) makeDemand(t *testing.T) {
	t.Helper()
	step := 5 * time.Minute
	now := time.Now().Truncate(step)
	var samples []history.Sample
	for at := now.Add(-3 * 24 * time.Hour); at.Before(now); at = at.Add(step) {
		samples = append(samples, history.Sample{At: at, Demand: demandAt(at)})
	}
	if err := history.NewStore(e.Client).Append(t.Context(), history.Key{Pool: pool, Chunk: "single"}, samples...); err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		at := now.Add(time.Duration(i-24) * 20 * time.Minute)
		wanted := int32(math.Round(demandAt(at.Add(4*time.Minute))/3 + 1))
		d := &v1alpha1.Decision{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%s-%08d", pool, at.UTC().Format("20060102t150405"), i), Labels: map[string]string{v1alpha1.LabelPool: pool}},
			Spec: v1alpha1.DecisionSpec{
				Pool: pool, Mode: v1alpha1.ModeApprove, At: metav1.NewMicroTime(at), Ungate: wanted % 3, Applied: true, Digest: "0",
				Reason: fmt.Sprintf("single: %d wanted (ForecastDemand)", wanted),
				Chunks: []v1alpha1.DecidedChunk{{Name: "single", Demand: fmt.Sprintf("%.1f", demandAt(at)), Level: "30", Source: "Auto", Policy: "Forecast", Wanted: wanted, Reason: "ForecastDemand"}},
			},
		}
		if err := e.Client.Create(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		e.decision = d.Name
	}
}

// makePods makes a pod that waits for the pool, with what is said of it, and has another one have taken a
// placeholder over.
func (e *env) makePods(t *testing.T) {
	t.Helper()
	waits := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: waiting, Annotations: map[string]string{
			v1alpha1.AnnotationPool: pool, v1alpha1.AnnotationWaitingFor: pool, v1alpha1.AnnotationExpectedStart: time.Now().UTC().Add(4 * time.Minute).Format(time.RFC3339),
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{cluster.GPU: *quantity(2)}, Limits: corev1.ResourceList{cluster.GPU: *quantity(2)},
		}}}},
	}
	if err := e.Client.Create(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	waits.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, LastTransitionTime: metav1.Now(),
		Message: "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
	}}
	if err := e.Client.Status().Update(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "gpu-1", Labels: map[string]string{"pool": pool}}}
	if err := e.Client.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	node.Status.Allocatable = corev1.ResourceList{cluster.GPU: *quantity(8), corev1.ResourcePods: *quantity(110)}
	if err := e.Client.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	about := &corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WarmPool", Name: pool}
	for _, event := range []*corev1.Event{
		eventOf(waits.UID, v1alpha1.ReasonWaitingForPool, waiting, "waits for a node of WarmPool "+pool, about),
		eventOf("1", v1alpha1.ReasonTakenOver, "job-7", "placeholder "+pool+"-single-x gave way", about),
	} {
		if err := e.Client.Create(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
}

func eventOf(uid types.UID, reason, name, message string, about *corev1.ObjectReference) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, GenerateName: name + "-"},
		Reason:     reason, Message: message, Type: corev1.EventTypeNormal, EventTime: metav1.NowMicro(), Action: "Watch", ReportingController: "test", ReportingInstance: "test",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: metav1.NamespaceDefault, Name: name, UID: uid}, Related: about,
	}
}

// demandAt rises and falls with the day, and a little with the hour.
func demandAt(at time.Time) float64 {
	hours := float64(at.Unix()) / 3600
	return math.Round(16 + 9*math.Sin(2*math.Pi*hours/24) + 3*math.Sin(2*math.Pi*hours/3.1))
}

func capacityPlan(name string, nodes int32) *v1alpha1.CapacityPlan {
	return &v1alpha1.CapacityPlan{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelPool: pool}},
		Spec: v1alpha1.CapacityPlanSpec{
			Pool: pool, Nodes: nodes, CostPerHour: fmt.Sprint(3 * nodes), Requester: "system:serviceaccount:forewarm-system:forewarm-reserver",
			Reason:  fmt.Sprintf("single: %d more, demand within the lead time at most 24.0 (half), 29.0 (nine of ten)", nodes),
			Expires: metav1.NewTime(time.Now().Add(time.Hour)), Chunks: []v1alpha1.PlannedChunk{{Name: "single", Ungated: 8, More: nodes}},
		},
	}
}

// workload makes a Deployment of so many replicas, with a ceiling of ten.
func (e *env) workload(t *testing.T, name string, replicas int32) {
	t.Helper()
	labels := map[string]string{"app": name}
	if err := e.Client.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name, Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: "10"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}}},
		},
	}); err != nil {
		t.Fatal(err)
	}
}

// open starts a browser that knows nothing yet.
func open(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browserPath()), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true), // of the certificate that the console signs itself
	)
	allocator, closeAllocator := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() { closeTab(); closeAllocator() })
	ctx, cancel := context.WithTimeout(ctx, 5*patience)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", browserPath(), err)
	}
	return ctx
}
