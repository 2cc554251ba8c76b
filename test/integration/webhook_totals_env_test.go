package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// totalsEnv is a control plane with replicas of cmd/webhook behind one address.
type totalsEnv struct {
	*cluster.Cluster
	binary, kubeconfig, url string
	balancer                *balancer
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
	e := &totalsEnv{Cluster: c, binary: filepath.Join(t.TempDir(), "webhook"), balancer: newBalancer(t)}
	if e.kubeconfig, err = c.KubeconfigForServiceAccount(ctx, v1alpha1.SystemNamespace, "forewarm-webhook"); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", e.binary, "forewarm.dev/cmd/webhook").CombinedOutput(); err != nil {
		t.Fatalf("build cmd/webhook: %v\n%s", err, output)
	}
	// To loopback API servers speak HTTP/2, on one connection; to this, HTTP/1.1, on many.
	e.url = fmt.Sprintf("https://%s:%d", "0.0.0.0", e.balancer.port())
	for i := range replicas {
		e.replicas = append(e.replicas, e.run(t, fmt.Sprintf("webhook-%d", i), e.balancer.add(webhookPort(t)), ""))
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

// balancer takes connections on one port and leads each to the next of several.
type balancer struct {
	listener net.Listener
	taken    atomic.Int64 // connections so far
	next     atomic.Uint64
	mu       sync.Mutex
	ports    []int
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go b.serve()
	return b
}

func (b *balancer) port() int { return b.listener.Addr().(*net.TCPAddr).Port }

func (b *balancer) add(port int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = append(b.ports, port)
	return port
}

// set has a port get connections, remove has it get none; those that there are stay.
func (b *balancer) set(port int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.ports, port) {
		b.ports = append(slices.Clone(b.ports), port)
	}
}

func (b *balancer) remove(port int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = slices.DeleteFunc(slices.Clone(b.ports), func(p int) bool { return p == port })
}

func (b *balancer) has(port int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.ports, port)
}

func (b *balancer) serve() {
	for {
		from, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			b.taken.Add(1)
			go b.lead(from)
		}
	}
}

// lead copies until one side ends. A port where nobody listens is passed over.
func (b *balancer) lead(from net.Conn) {
	defer func() { _ = from.Close() }()
	b.mu.Lock()
	ports := b.ports
	b.mu.Unlock()
	for range ports {
		port := ports[b.next.Add(1)%uint64(len(ports))]
		to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		go func() {
			_, _ = io.Copy(from, to)
			_ = from.Close()
		}()
		_, _ = io.Copy(to, from)
		_ = to.Close()
		return
	}
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
