package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// webhookWait bounds what takes milliseconds on an idle machine.
const webhookWait = time.Minute

// twinWait bounds how far the twin may be behind where a ceiling is loosened.
const twinWait = 5 * time.Second

// webhookEnv is a control plane with cmd/webhook beside it, run as its ServiceAccount with
// the RBAC of the manifests.
type webhookEnv struct {
	*cluster.Cluster
	binary     string
	kubeconfig string
	port       int
	process    *webhookProcess
	warnings   *webhookWarnings
	// settings are more of the configuration's section webhook, as in "markClaims: true".
	settings string
}

// webhookProcess is one replica.
type webhookProcess struct {
	*cluster.Process
	health string
}

// TestWebhook shows on a real API server what admission does, and what happens without it.
// The parts run in this order, since the last ones take the webhook away.
func TestWebhook(t *testing.T) {
	t.Parallel()
	e := newWebhookEnv(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *webhookEnv)
	}{
		{"every way to grow is held to the ceiling of the workload", webhookOwnCeiling},
		{"what stands above its ceiling may stay and shrink", webhookGrandfathered},
		{"lifting a ceiling and growing takes two writes", webhookTwoWrites},
		{"the ceiling of the Namespace", webhookNamespaceCeiling},
		{"the ceiling of the cluster", webhookClusterCeiling},
		{"a kind that nobody told us about is held on its scale", webhookCustomKind},
		{"a kind of which the server has another version is held", webhookOtherVersion},
		{"a node pool says what its ceiling does", webhookPoolModes},
		{"a Machine that somebody makes is held to its Cluster", webhookByHand},
		{"a malformed annotation is refused where it is written", webhookMalformed},
		{"a rollout above the ceiling does not stall", webhookRollout},
		{"what else a Namespace may say", webhookNamespaceSays},
		{"an owner that is forged lifts nothing", webhookForgedOwner},
		{"who may loosen a ceiling", webhookAccess},
		{"forewarmctl explains what the API server does", webhookExplain},
		{"doctor finds nothing in what is written", webhookDoctor},
		{"out of admission and back", webhookDisarm},
		{"a GPU pod is annotated", webhookGPUPod},
		{"GPUs of every vendor are annotated", webhookGPUs},
		{"what a pod claims is annotated", webhookClaims},
		{"a pod prefers warm capacity that takes it", webhookWarm},
		{"a stored malformed ceiling keeps the last good one", webhookLastGood},
		{"the CA is replaced without a gap", webhookRotation},
		{"ceilings are compiled to the twin", webhookTwin},
		{"a replica drains", webhookDrain},
		{"without the webhook the twin holds, and all else goes on", webhookDead},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

func newWebhookEnv(t *testing.T) *webhookEnv {
	t.Helper()
	return newWebhookEnvOn(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true,
		StaticNodes: []cluster.NodeTemplate{{Name: "gpu", Count: 1, GPUs: 64}},
		// A kind that nobody told us about: its own annotation counts only where it may be read.
		MayBeForbidden: []string{"may not get /apis/example.com/"},
	})
}

func newWebhookEnvOn(t *testing.T, options cluster.Options) *webhookEnv {
	t.Helper()
	c := cluster.ForTest(t, options)
	ctx := t.Context()
	if err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}); err != nil {
		t.Fatal(err)
	}
	return newWebhookEnvBeside(t, c, "")
}

// newWebhookEnvBeside starts it on a control plane that has its Namespace.
func newWebhookEnvBeside(t *testing.T, c *cluster.Cluster, settings string) *webhookEnv {
	t.Helper()
	ctx, root := t.Context(), filepath.Join("..", "..", "manifests")
	if err := c.ApplyFiles(ctx, filepath.Join(root, "crd", "forewarm.dev_warmpools.yaml"), filepath.Join(root, "crd", "forewarm.dev_ceilingsets.yaml"), filepath.Join(root, "rbac", "webhook.yaml"), filepath.Join(root, "rbac", "webhook-ca.yaml")); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := c.KubeconfigForServiceAccount(ctx, v1alpha1.SystemNamespace, "forewarm-webhook")
	if err != nil {
		t.Fatal(err)
	}
	e := &webhookEnv{Cluster: c, kubeconfig: kubeconfig, binary: filepath.Join(cluster.Programs(t), "webhook"), port: webhookPort(t), warnings: &webhookWarnings{}, settings: settings}
	e.process = e.start(t, "webhook", e.port)
	config := c.RESTConfig()
	config.WarningHandlerWithContext = e.warnings
	if e.Client, err = client.New(config, client.Options{Scheme: c.Client.Scheme()}); err != nil {
		t.Fatal(err)
	}
	return e
}

// start runs a replica that listens on port, and waits until it is ready. All replicas
// register the same URL, so that only the first one is asked.
func (e *webhookEnv) start(t *testing.T, name string, port int) *webhookProcess {
	t.Helper()
	health := fmt.Sprintf("127.0.0.1:%d", webhookPort(t))
	path := filepath.Join(t.TempDir(), name+".yaml")
	config := fmt.Sprintf(`apiVersion: config.forewarm.dev/v1alpha1
kind: Config
webhook: {address: "127.0.0.1:%d", url: "https://127.0.0.1:%d", healthAddress: %q, metricsAddress: "127.0.0.1:%d", drainSeconds: 2, %s}
`, port, e.port, health, webhookPort(t), e.settings)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// The replica outlives the part that starts it; the cluster's Stop ends it.
	process, err := e.StartProcess(context.WithoutCancel(t.Context()), name, e.binary, []string{"--config", path, "--kubeconfig", e.kubeconfig, "-v", "1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &webhookProcess{process, "http://" + health}
	cluster.Eventually(t, webhookWait, func() error {
		if status := p.ready(); status != http.StatusOK {
			return fmt.Errorf("%s is not ready (%d); its log:\n%s", name, status, p.Log())
		}
		return nil
	})
	return p
}

// ready is the HTTP status of the readiness check, 0 where nobody answers.
func (p *webhookProcess) ready() int {
	response, err := http.Get(p.health + "/readyz")
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func webhookPort(t *testing.T) int {
	t.Helper()
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// namespace makes one with the given annotations.
func (e *webhookEnv) namespace(t *testing.T, name string, annotations map[string]string) {
	t.Helper()
	if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}); err != nil {
		t.Fatal(err)
	}
}

// annotate sets the ceiling of an object; nil removes it.
func (e *webhookEnv) annotate(ctx context.Context, o client.Object, value any) error {
	body := fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, v1alpha1.AnnotationMaxReplicas)
	if value != nil {
		body = fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationMaxReplicas, value)
	}
	return e.Client.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(body)))
}

// webhookDenied checks that err is a denial of ours which says all of what.
func webhookDenied(err error, what ...string) error {
	if !apierrors.IsForbidden(err) {
		return fmt.Errorf("got %w, want 403 Forbidden", webhookNoError(err))
	}
	for _, part := range what {
		if !strings.Contains(err.Error(), part) {
			return fmt.Errorf("message %q lacks %q", err, part)
		}
	}
	return nil
}

func webhookNoError(err error) error {
	if err == nil {
		return fmt.Errorf("no error")
	}
	return err
}

// webhookWarnings collects what the API server warns about.
type webhookWarnings struct {
	mu   sync.Mutex
	seen []string
}

// HandleWarningHeaderWithContext is called by the client.
func (w *webhookWarnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, text)
}

// take returns what was warned about since the last call.
func (w *webhookWarnings) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.Join(w.seen, "\n")
	w.seen = nil
	return text
}

var _ rest.WarningHandlerWithContext = (*webhookWarnings)(nil)

// configurations returns the resource versions of both.
func (e *webhookEnv) configurations(t *testing.T) string {
	t.Helper()
	api := kubernetes.NewForConfigOrDie(e.RESTConfig()).AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(t.Context(), "forewarm", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(t.Context(), "forewarm", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return validating.ResourceVersion + " " + mutating.ResourceVersion
}
