package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/relay"
)

// totalsEnv is a control plane with replicas of cmd/webhook behind one address.
type totalsEnv struct {
	*cluster.Cluster
	binary, kubeconfig, url string
	balancer                *relay.Relay
	replicas                []*webhookProcess
}

func newTotalsEnv(t *testing.T, options cluster.Options, replicas int) *totalsEnv {
	t.Helper()
	if !options.ControllerManager {
		// Nobody aggregates the rights to read other kinds' objects.
		options.MayBeForbidden = append(options.MayBeForbidden, "forewarm-webhook may not list /apis/")
	}
	c := cluster.ForTest(t, options)
	ctx := t.Context()
	if err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..", "manifests")
	crds, err := filepath.Glob(filepath.Join(root, "crd", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ApplyFiles(ctx, append(crds, filepath.Join(root, "rbac", "webhook.yaml"), filepath.Join(root, "rbac", "webhook-ca.yaml"), filepath.Join(root, "flowcontrol", "webhook.yaml"))...); err != nil {
		t.Fatal(err)
	}
	e := &totalsEnv{Cluster: c, binary: filepath.Join(cluster.Programs(t), "webhook"), balancer: newRelay(t)}
	if e.kubeconfig, err = c.KubeconfigForServiceAccount(ctx, v1alpha1.SystemNamespace, "forewarm-webhook"); err != nil {
		t.Fatal(err)
	}
	// To loopback API servers speak HTTP/2, on one connection; to this, HTTP/1.1, on many.
	e.url = fmt.Sprintf("https://%s:%d", "0.0.0.0", e.balancer.Port())
	for i := range replicas {
		port := webhookPort(t)
		e.balancer.Add(port)
		e.replicas = append(e.replicas, e.run(t, fmt.Sprintf("webhook-%d", i), port, ""))
	}
	for _, p := range e.replicas {
		e.await(t, p)
	}
	return e
}

// run starts a replica; settings, where there are any, end in a comma.
func (e *totalsEnv) run(t *testing.T, name string, port int, settings string) *webhookProcess {
	t.Helper()
	health := fmt.Sprintf("127.0.0.1:%d", webhookPort(t))
	path := filepath.Join(t.TempDir(), name+".yaml")
	config := fmt.Sprintf(`apiVersion: config.forewarm.dev/v1alpha1
kind: Config
webhook: {%s address: "127.0.0.1:%d", url: %q, healthAddress: %q, metricsAddress: "127.0.0.1:%d", drainSeconds: 2}
`, settings, port, e.url, health, webhookPort(t))
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := e.StartProcess(context.WithoutCancel(t.Context()), name, e.binary, []string{"--config", path, "--kubeconfig", e.kubeconfig, "-v", "1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &webhookProcess{process, "http://" + health}
}

func (e *totalsEnv) await(t *testing.T, p *webhookProcess) {
	t.Helper()
	cluster.Eventually(t, webhookWait, func() error {
		if status := p.ready(); status != http.StatusOK {
			return fmt.Errorf("%s is not ready (%d); its log:\n%s", p.Name, status, p.Log())
		}
		return nil
	})
}

// ledger is one, as it stands.
func (e *totalsEnv) ledger(ctx context.Context, name string) (*v1alpha1.Ledger, error) {
	l := &v1alpha1.Ledger{}
	err := e.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: name}, l)
	return l, err
}

// settled waits until a ledger counts n and nothing is coming.
func (e *totalsEnv) settled(t *testing.T, name string, want v1alpha1.LedgerAmounts) {
	t.Helper()
	cluster.Eventually(t, 2*webhookWait, func() error {
		l, err := e.ledger(t.Context(), name)
		if err != nil {
			return err
		}
		if !l.Data.Complete || l.Data.Standing != want || len(l.Data.Entries) > 0 {
			return fmt.Errorf("complete %t, counts %+v, want %+v; coming %+v", l.Data.Complete, l.Data.Standing, want, l.Data.Entries)
		}
		return nil
	})
}

// counting makes a Namespace with totals and waits until they are in force.
func (e *totalsEnv) counting(t *testing.T, name string, annotations map[string]string) {
	t.Helper()
	if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}); err != nil {
		t.Fatal(err)
	}
	e.settled(t, "namespace."+name, v1alpha1.LedgerAmounts{})
}

// unanswered says whether a write failed since no webhook answered.
func unanswered(err error) bool {
	return apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook")
}

// newRelay is one that ends with the test.
func newRelay(t *testing.T) *relay.Relay {
	t.Helper()
	r, err := relay.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// rolled waits until the Deployment controller has made a ReplicaSet of a second template beside the
// others that there are, which it does whatever the total.
func (e *totalsEnv) rolled(t *testing.T, namespace string, others int) {
	t.Helper()
	cluster.Eventually(t, webhookWait, func() error {
		var list appsv1.ReplicaSetList
		if err := e.Client.List(t.Context(), &list, client.InNamespace(namespace)); err != nil || len(list.Items) < others+1 {
			return fmt.Errorf("%d ReplicaSets, want one of the rollout (%w)", len(list.Items), err)
		}
		return nil
	})
}
