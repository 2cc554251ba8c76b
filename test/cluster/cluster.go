// Package cluster starts a real Kubernetes control plane on this machine, without containers:
// etcd and the API server always, and as asked the scheduler, the controller manager, KWOK in
// place of kubelets, and Karpenter with its KWOK provider. The tests, the benchmarks and the
// demo run on it.
//
// There is no kubelet: what a kubelet does (deadlines of pods, image pulls, probes, device
// plugins) does not happen unless one of the KWOK stages in stages.yaml plays it.
package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster/assets"
)

// Cluster is a running control plane.
type Cluster struct {
	// Dir holds data, keys, kubeconfigs and configuration.
	Dir string
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// Client acts as the administrator. It knows Kubernetes' own types, CRDs and ours.
	Client client.Client
	// StartTime is how long Start took.
	StartTime time.Duration

	options      Options
	programs     map[string]string
	logDir       string
	pki          *authority
	ports        ports
	apiServerURL string
	restConfig   *rest.Config
	httpClient   *http.Client
	endpoints    map[string]Endpoint
	parts        map[string]component
	spawner      *spawner

	mutex     sync.Mutex
	processes []*Process
	stopped   bool
}

// Endpoint is where a component answers; HTTPClient may read both.
type Endpoint struct {
	// Health answers 200 when the component is ready.
	Health string
	// Metrics is in Prometheus' text format.
	Metrics string
}

// Start runs a control plane and returns when all of it is ready. ctx bounds the start only:
// what runs ends with Stop, or with this process. If Start fails, nothing is left running.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	begin := time.Now()
	if err := options.validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	store, err := assets.Open()
	if err != nil {
		return nil, err
	}
	wanted := options.components()
	if options.Karpenter {
		wanted = append(wanted, assets.KarpenterCRDs)
	}
	programs, err := store.Find(wanted...)
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: options, programs: programs, endpoints: map[string]Endpoint{}, parts: map[string]component{}, spawner: newSpawner()}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	c.StartTime = time.Since(begin)
	return c, nil
}

// start is the order in which the parts can come up.
func (c *Cluster) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		c.prepare,
		c.startEtcd,
		c.startAPIServer,
		c.connect,
		c.installKarpenterTypes,
		c.startComponents,
		c.createStaticNodes,
		c.createNodePools,
		c.settle,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes folders, keys and the administrator's HTTP client.
func (c *Cluster) prepare(context.Context) error {
	var err error
	if c.Dir = c.options.Dir; c.Dir == "" {
		if c.Dir, err = os.MkdirTemp("", "forewarm-cluster-"); err != nil {
			return fmt.Errorf("make a temporary folder: %w", err)
		}
	} else if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return fmt.Errorf("find the cluster's folder: %w", err)
	}
	if c.logDir = c.options.LogDir; c.logDir == "" {
		c.logDir = filepath.Join(c.Dir, "logs")
	}
	if c.logDir, err = filepath.Abs(c.logDir); err != nil {
		return fmt.Errorf("find the log folder: %w", err)
	}
	if err := os.MkdirAll(c.logDir, 0o755); err != nil {
		return fmt.Errorf("make the log folder: %w", err)
	}
	if c.pki, err = newAuthority(filepath.Join(c.Dir, "pki")); err != nil {
		return err
	}
	pair, err := c.pki.user("admin", []string{"system:masters"})
	if err != nil {
		return err
	}
	mine, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		return fmt.Errorf("load the administrator's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.pki.cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{mine}}}
	c.httpClient = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return nil
}

// connect makes the administrator's client once the API server is there.
func (c *Cluster) connect(context.Context) error {
	if err := c.admin(); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register API types: %w", err)
		}
	}
	var err error
	if c.Client, err = client.New(c.restConfig, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make the administrator's client: %w", err)
	}
	return nil
}

func (c *Cluster) createStaticNodes(ctx context.Context) error {
	for _, template := range c.options.StaticNodes {
		for _, node := range template.nodes() {
			if err := c.Client.Create(ctx, node); err != nil {
				return fmt.Errorf("create node %s: %w", node.Name, err)
			}
		}
	}
	return nil
}

// settle waits until pods could be created and would be scheduled.
func (c *Cluster) settle(ctx context.Context) error {
	if !c.options.ControllerManager {
		return nil
	}
	if err := c.waitDefaultAccount(ctx, "default"); err != nil {
		return err
	}
	return c.poll(ctx, "static nodes to be ready", func() error {
		var nodes corev1.NodeList
		if err := c.Client.List(ctx, &nodes); err != nil {
			return err
		}
		for i := range nodes.Items {
			if err := usable(&nodes.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// usable fails until a node is Ready and the node lifecycle controller has untainted it.
func usable(node *corev1.Node) error {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady {
			return fmt.Errorf("node %s still has the taint %s", node.Name, taint.Key)
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("node %s is not Ready yet", node.Name)
}

// CreateNamespace creates a namespace and waits until pods may be created in it.
func (c *Cluster) CreateNamespace(ctx context.Context, namespace *corev1.Namespace) error {
	if err := c.Client.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", namespace.Name, err)
	}
	if !c.options.ControllerManager {
		return nil
	}
	return c.waitDefaultAccount(ctx, namespace.Name)
}

// waitDefaultAccount waits for the ServiceAccount without which pods are refused.
func (c *Cluster) waitDefaultAccount(ctx context.Context, namespace string) error {
	return c.poll(ctx, "the default ServiceAccount of namespace "+namespace, func() error {
		return c.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
}

// HTTPClient may read the health and metrics of every component.
func (c *Cluster) HTTPClient() *http.Client { return c.httpClient }

// EndpointOf says where a component answers, by its name in package assets. It is empty for
// one that does not run.
func (c *Cluster) EndpointOf(component string) Endpoint { return c.endpoints[component] }

// ProcessOf is the process of a component, by its name in package assets, or one of
// StartProcess; nil where none of that name was started.
func (c *Cluster) ProcessOf(name string) *Process {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, p := range slices.Backward(c.processes) {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// LogOf returns what a component or a process of StartProcess has printed so far.
func (c *Cluster) LogOf(name string) string {
	return (&Process{LogPath: filepath.Join(c.logDir, name+".log")}).Log()
}

// Stop kills everything that Start and StartProcess started, the latest first, waits until it
// is gone, and removes the folder unless Options named it. It may be called again.
func (c *Cluster) Stop() error {
	c.mutex.Lock()
	if c.stopped {
		c.mutex.Unlock()
		return nil
	}
	c.stopped = true
	processes := slices.Clone(c.processes)
	c.mutex.Unlock()

	for _, p := range slices.Backward(processes) {
		p.Kill()
	}
	c.spawner.close()
	c.ports.release()
	if c.httpClient != nil {
		c.httpClient.CloseIdleConnections()
	}
	if c.options.Dir != "" || c.Dir == "" {
		return nil
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		return fmt.Errorf("remove the cluster's folder: %w", err)
	}
	return nil
}
