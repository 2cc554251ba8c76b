package stack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/config"
	"forewarm.dev/test/cluster"
)

// The kinds of processes.
const (
	Webhook  = "webhook"
	Extender = "extender"
	Reserver = "reserver"
	Console  = "console"
)

// Replica is one process of a kind.
type Replica struct {
	// Name tells it from the others of its Kind, and names its log.
	Name, Kind string
	// Binary is run instead of the kind's own; empty for that.
	Binary string
	// Env is added to its environment.
	Env []string

	config          config.Config
	args            []string
	health, metrics string
	process         *cluster.Process
}

func newReplica(kind string, number, of int) (*Replica, error) {
	r := &Replica{Name: kind, Kind: kind, config: config.Default()}
	if of > 1 {
		r.Name = fmt.Sprintf("%s-%d", kind, number)
	}
	r.config.Webhook.DrainSeconds = 0
	r.config.Extender.SchedulerLease = "" // the scheduler does not stand for election
	var addresses []string
	for range 3 {
		port, err := cluster.FreePort()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, "127.0.0.1:"+strconv.Itoa(port))
	}
	own := map[string]*config.Process{
		Webhook: &r.config.Webhook.Process, Extender: &r.config.Extender.Process,
		Reserver: &r.config.Reserver.Process, Console: &r.config.Console.Process,
	}[kind]
	own.HealthAddress, own.MetricsAddress = addresses[0], addresses[1]
	r.health, r.metrics = addresses[0], addresses[1]
	r.config.Webhook.Address, r.config.Extender.Address, r.config.Console.Address = addresses[2], addresses[2], addresses[2]
	return r, nil
}

// Process is the last run of it.
func (r *Replica) Process() *cluster.Process { return r.process }

// Ready asks the process once whether it is.
func (r *Replica) Ready(ctx context.Context) error {
	response, err := get(ctx, r.health, "/readyz")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", r.Name, response.StatusCode)
	}
	return nil
}

// MetricsAddress is where it serves its metrics, host:port.
func (r *Replica) MetricsAddress() string { return r.metrics }

// Metrics are the families that it serves, by name.
func (r *Replica) Metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	response, err := get(ctx, r.metrics, "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", r.Name, err)
	}
	return families, nil
}

// Run starts a replica, or starts it again once it has ended, without waiting for it. Behind a
// relay its readiness decides whether it is asked.
func (s *Stack) Run(r *Replica) error {
	binary := r.Binary
	if binary == "" {
		binary = filepath.Join(s.binaries, r.Kind)
	}
	var err error
	// The background context: it ends with the cluster only.
	if r.process, err = s.cluster.StartProcess(context.Background(), r.Name, binary, r.args, r.Env); err != nil {
		return err
	}
	if r.Kind != Webhook || s.relay == nil {
		return nil
	}
	_, text, err := net.SplitHostPort(r.config.Webhook.Address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	done := r.process.Done()
	go s.relay.Follow(port, 200*time.Millisecond, func() bool { return r.Ready(context.Background()) == nil }, done)
	return nil
}

// configure writes the files that a replica is started with.
func (s *Stack) configure(ctx context.Context, r *Replica) error {
	namespace := v1alpha1.SystemNamespace
	if r.Kind == Extender {
		namespace = metav1.NamespaceSystem
	}
	kubeconfig, err := s.cluster.KubeconfigForServiceAccount(ctx, namespace, "forewarm-"+r.Kind)
	if err != nil {
		return err
	}
	if s.options.APIServer != 0 {
		if kubeconfig, err = elsewhere(kubeconfig, s.options.APIServer); err != nil {
			return err
		}
	}
	return s.write(r, kubeconfig)
}

// write writes the configuration of a replica, which acts as a kubeconfig says.
func (s *Stack) write(r *Replica, kubeconfig string) error {
	data, err := yaml.Marshal(r.config)
	if err != nil {
		return err
	}
	path := filepath.Join(s.cluster.Dir, "forewarm-"+r.Name+".yaml")
	r.args = []string{"--config", path, "--kubeconfig", kubeconfig}
	return os.WriteFile(path, data, 0o600)
}

// elsewhere is a kubeconfig that finds its API server at another port of loopback.
func elsewhere(kubeconfig string, port int) (string, error) {
	access, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return "", fmt.Errorf("read kubeconfig: %w", err)
	}
	for _, c := range access.Clusters {
		c.Server = "https://127.0.0.1:" + strconv.Itoa(port)
	}
	kubeconfig += ".relay"
	if err := clientcmd.WriteToFile(*access, kubeconfig); err != nil {
		return "", fmt.Errorf("write kubeconfig: %w", err)
	}
	return kubeconfig, nil
}
