package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	componentbasev1alpha1 "k8s.io/component-base/config/v1alpha1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"forewarm.dev/test/cluster/assets"
)

// auditPolicy records who did what to which object, once per request.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

// component is how a part of the control plane is run.
type component struct {
	name     string
	args     []string
	env      []string
	endpoint Endpoint
}

// run starts a component without waiting for it.
func (c *Cluster) run(part component) error {
	part.args = merge(part.args, c.options.ExtraArgs[part.name])
	if err := c.launch(part); err != nil {
		return err
	}
	c.endpoints[part.name], c.parts[part.name] = part.endpoint, part
	return nil
}

func (c *Cluster) launch(part component) error {
	// The background context: a component ends with Stop only.
	_, err := c.StartProcess(context.Background(), part.name, c.programs[part.name], part.args, part.env)
	return err
}

// Restart starts a component that has ended once more, just as it ran before, without waiting for
// it; what it had stored is there.
func (c *Cluster) Restart(name string) error {
	part, known := c.parts[name]
	if !known {
		return fmt.Errorf("restart %s: no such component runs here", name)
	}
	if c.ProcessOf(name).check() == nil {
		return fmt.Errorf("restart %s: it has not ended", name)
	}
	return c.launch(part)
}

// Ready asks a component once whether it is.
func (c *Cluster) Ready(ctx context.Context, name string) error {
	url := c.endpoints[name].Health
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := c.httpClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// merge puts more flags behind ours, which make room for those of the same name.
func merge(ours, more []string) []string {
	name := func(flag string) string {
		before, _, _ := strings.Cut(flag, "=")
		return before
	}
	kept := slices.DeleteFunc(slices.Clone(ours), func(flag string) bool {
		return slices.ContainsFunc(more, func(other string) bool { return name(other) == name(flag) })
	})
	return append(kept, more...)
}

// ready waits until a component's health endpoint answers 200.
func (c *Cluster) ready(ctx context.Context, name string) error {
	return c.poll(ctx, name+" to be ready", func() error { return c.Ready(ctx, name) })
}

func (c *Cluster) startEtcd(ctx context.Context) error {
	client, err := c.ports.take()
	if err != nil {
		return err
	}
	peer, err := c.ports.take()
	if err != nil {
		return err
	}
	url, peerURL := address("http", client), address("http", peer)
	err = c.run(component{
		name: assets.Etcd,
		args: []string{
			"--data-dir=" + filepath.Join(c.Dir, "etcd"),
			"--listen-client-urls=" + url,
			"--advertise-client-urls=" + url,
			"--listen-peer-urls=" + peerURL,
			"--initial-advertise-peer-urls=" + peerURL,
			"--initial-cluster=default=" + peerURL,
			// The data is thrown away: waiting for the disk would only slow tests down.
			"--unsafe-no-fsync",
		},
		endpoint: Endpoint{Health: url + "/health", Metrics: url + "/metrics"},
	})
	if err != nil {
		return err
	}
	return c.ready(ctx, assets.Etcd)
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	port, err := c.ports.take()
	if err != nil {
		return err
	}
	c.apiServerURL = address("https", port)
	args := []string{
		"--etcd-servers=" + strings.TrimSuffix(c.endpoints[assets.Etcd].Health, "/health"),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + c.pki.path("serving.crt"),
		"--tls-private-key-file=" + c.pki.path("serving.key"),
		"--client-ca-file=" + c.pki.path("ca.crt"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.path("accounts.key"),
		"--service-account-signing-key-file=" + c.pki.path("accounts.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		// Endpoints may not be on loopback, and nothing reads them here.
		"--endpoint-reconciler-type=none",
	}
	if !c.options.ControllerManager {
		// Nobody makes the ServiceAccounts that this plugin wants every pod to have.
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	if c.options.AuditLog != "" {
		policy, rules := filepath.Join(c.Dir, "audit-policy.yaml"), auditPolicy
		if c.options.auditOurs {
			rules = ourAuditPolicy
		}
		if err := os.WriteFile(policy, []byte(rules), 0o644); err != nil {
			return fmt.Errorf("write the audit policy: %w", err)
		}
		log, err := filepath.Abs(c.options.AuditLog)
		if err != nil {
			return fmt.Errorf("find the audit log: %w", err)
		}
		args = append(args, "--audit-policy-file="+policy, "--audit-log-path="+log)
	}
	err = c.run(component{
		name:     assets.APIServer,
		args:     append(args, c.featureGates()...),
		endpoint: Endpoint{Health: c.apiServerURL + "/readyz", Metrics: c.apiServerURL + "/metrics"},
	})
	if err != nil {
		return err
	}
	return c.ready(ctx, assets.APIServer)
}

// startComponents starts the clients of the API server together, and waits for each.
func (c *Cluster) startComponents(ctx context.Context) error {
	makers := map[string]func() (component, error){
		assets.ControllerManager: c.controllerManager,
		assets.Scheduler:         c.scheduler,
		assets.KWOK:              c.kwok,
		assets.Karpenter:         c.karpenter,
	}
	names := c.options.components()[2:]
	for _, name := range names {
		part, err := makers[name]()
		if err != nil {
			return err
		}
		if err := c.run(part); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := c.ready(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) controllerManager() (component, error) {
	kubeconfig, err := c.KubeconfigFor("system:kube-controller-manager")
	if err != nil {
		return component{}, err
	}
	part, err := c.secured(assets.ControllerManager, kubeconfig)
	part.args = append(part.args,
		"--kubeconfig="+kubeconfig,
		"--leader-elect=false",
		"--root-ca-file="+c.pki.path("ca.crt"),
		"--service-account-private-key-file="+c.pki.path("accounts.key"),
		// So that admission sees the real identities, such as the autoscaler's.
		"--use-service-account-credentials=true",
		// Time is compressed on this cluster; the default limit of 20 requests a second is not.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	)
	return part, err
}

func (c *Cluster) scheduler() (component, error) {
	kubeconfig, err := c.KubeconfigFor("system:kube-scheduler")
	if err != nil {
		return component{}, err
	}
	config := schedulerv1.KubeSchedulerConfiguration{
		TypeMeta:       metav1.TypeMeta{APIVersion: schedulerv1.SchemeGroupVersion.String(), Kind: "KubeSchedulerConfiguration"},
		LeaderElection: componentbasev1alpha1.LeaderElectionConfiguration{LeaderElect: new(false)},
		// As for the controller manager, the default limit would not be compressed with the time.
		ClientConnection: componentbasev1alpha1.ClientConnectionConfiguration{Kubeconfig: kubeconfig, QPS: 500, Burst: 1000},
		Extenders:        c.options.SchedulerExtenders,
		// Nor would the back-off of pods that did not fit, up to 10 s by default.
		PodInitialBackoffSeconds: new(int64(1)), PodMaxBackoffSeconds: new(int64(1)),
	}
	data, err := yaml.Marshal(config)
	if err != nil {
		return component{}, fmt.Errorf("write the scheduler's configuration: %w", err)
	}
	path := filepath.Join(c.Dir, "scheduler.yaml")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return component{}, fmt.Errorf("write the scheduler's configuration: %w", err)
	}
	part, err := c.secured(assets.Scheduler, kubeconfig)
	part.args = append(part.args, "--config="+path)
	return part, err
}

// secured is what the scheduler and the controller manager have in common: they serve over
// TLS and ask the API server who may read their metrics.
func (c *Cluster) secured(name, kubeconfig string) (component, error) {
	port, err := c.ports.take()
	if err != nil {
		return component{}, err
	}
	url := address("https", port)
	return component{
		name: name,
		args: append([]string{
			"--bind-address=127.0.0.1",
			"--secure-port=" + strconv.Itoa(port),
			"--tls-cert-file=" + c.pki.path("serving.crt"),
			"--tls-private-key-file=" + c.pki.path("serving.key"),
			"--client-ca-file=" + c.pki.path("ca.crt"),
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
		}, c.featureGates()...),
		endpoint: Endpoint{Health: url + "/healthz", Metrics: url + "/metrics"},
	}, nil
}

func (c *Cluster) kwok() (component, error) {
	kubeconfig, err := c.KubeconfigFor("kwok", "system:masters")
	if err != nil {
		return component{}, err
	}
	port, err := c.ports.take()
	if err != nil {
		return component{}, err
	}
	path := filepath.Join(c.Dir, "stages.yaml")
	if err := os.WriteFile(path, stages, 0o644); err != nil {
		return component{}, fmt.Errorf("write the stages of KWOK: %w", err)
	}
	url := address("http", port)
	return component{
		name: assets.KWOK,
		args: []string{
			"--kubeconfig=" + kubeconfig,
			"--config=" + path,
			// Static nodes and Karpenter's alike.
			"--manage-all-nodes=true",
			"--node-lease-duration-seconds=40",
			"--node-ip=127.0.0.1",
			"--server-address=127.0.0.1:" + strconv.Itoa(port),
		},
		endpoint: Endpoint{Health: url + "/healthz", Metrics: url + "/metrics"},
	}, nil
}

func (c *Cluster) featureGates() []string {
	gates := make([]string, 0, len(c.options.FeatureGates))
	for gate, on := range c.options.FeatureGates {
		gates = append(gates, gate+"="+strconv.FormatBool(on))
	}
	if len(gates) == 0 {
		return nil
	}
	slices.Sort(gates)
	return []string{"--feature-gates=" + strings.Join(gates, ",")}
}

func address(scheme string, port int) string {
	return scheme + "://127.0.0.1:" + strconv.Itoa(port)
}
