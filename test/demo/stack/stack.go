// Package stack runs Forewarm's own processes on a test control plane, as an installation would.
package stack

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/internal/config"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/relay"
)

// Options say what runs. The zero value is one process of each kind.
type Options struct {
	// Webhooks and Reservers are how many replicas run; zero means one.
	Webhooks, Reservers int
	// Console has the console run too, from the start.
	Console bool
	// APIServer is the port of loopback at which the processes find the API server; zero means its own.
	APIServer int
	// Customize may change the configuration of all processes; nil for no change.
	Customize func(*config.Config)
}

// Stack is the webhook, the extender and the reserver, and the console if asked for, with their addresses.
type Stack struct {
	// Replicas are all processes, those of a kind behind each other; the console, once it runs, is the last.
	Replicas []*Replica

	options  Options
	extender string
	relay    *relay.Relay // before several webhooks; nil for one
	cluster  *cluster.Cluster
	binaries string
}

// New picks free ports on loopback for one process of each kind, which acts as its ServiceAccount. It comes
// before the control plane, whose scheduler needs to know where the extender will be.
func New() (*Stack, error) { return NewWith(Options{}) }

// NewWith is New for other numbers of processes, or other ones.
func NewWith(options Options) (*Stack, error) {
	s := &Stack{options: options}
	consoles := 0
	if options.Console {
		consoles = 1
	}
	for _, kind := range []struct {
		name  string
		count int
	}{{Webhook, max(options.Webhooks, 1)}, {Extender, 1}, {Reserver, max(options.Reservers, 1)}, {Console, consoles}} {
		for i := range kind.count {
			replica, err := newReplica(kind.name, i, kind.count)
			if err != nil {
				return nil, err
			}
			s.Replicas = append(s.Replicas, replica)
		}
	}
	return s, s.address()
}

// address tells the replicas where webhook and extender are asked.
func (s *Stack) address() error {
	first := s.Replicas[0].config.Webhook.Address
	if s.options.Webhooks > 1 {
		var err error
		if s.relay, err = relay.New(); err != nil {
			return err
		}
		// To loopback API servers speak HTTP/2, on one connection; to this, HTTP/1.1, on many.
		first = "0.0.0.0:" + strconv.Itoa(s.relay.Port())
	}
	for _, r := range s.Replicas {
		r.config.Webhook.URL = "https://" + first
		if s.options.Customize != nil {
			s.options.Customize(&r.config)
		}
		if r.Kind == Extender {
			s.extender = r.config.Extender.Address
		}
	}
	return nil
}

// SchedulerExtender is the scheduler's side of the extender.
func (s *Stack) SchedulerExtender() configv1.Extender {
	return handler.SchedulerEntry("http://"+s.extender, string(cluster.GPU))
}

// Start installs the CRDs and starts the processes from the folder of binaries; it returns
// when all are ready. They end with the cluster.
func (s *Stack) Start(ctx context.Context, c *cluster.Cluster, root, binaries string) error {
	s.cluster, s.binaries = c, binaries
	if err := s.install(ctx, root); err != nil {
		return err
	}
	for _, r := range s.Replicas {
		if err := s.configure(ctx, r); err != nil {
			return err
		}
		if err := s.Run(r); err != nil {
			return err
		}
	}
	for _, r := range s.Replicas {
		if err := s.await(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// await waits until a process says that it is ready.
func (s *Stack) await(ctx context.Context, r *Replica) error {
	err := cluster.Wait(ctx, time.Minute, func() error { return r.Ready(ctx) })
	if err != nil {
		return fmt.Errorf("%s did not become ready: %w; its log says:\n%s", r.Name, err, s.cluster.LogOf(r.Name))
	}
	return nil
}

// StartConsole starts the console too, after Start, as its ServiceAccount; it returns where it is served once
// it is ready.
func (s *Stack) StartConsole(ctx context.Context) (string, error) {
	r, err := newReplica(Console, 0, 1)
	if err != nil {
		return "", err
	}
	if err := s.configure(ctx, r); err != nil {
		return "", err
	}
	if err := s.Run(r); err != nil {
		return "", err
	}
	s.Replicas = append(s.Replicas, r)
	return "https://" + r.config.Console.Address, s.await(ctx, r)
}

// install applies what the processes need to find.
func (s *Stack) install(ctx context.Context, root string) error {
	for _, name := range []string{v1alpha1.SystemNamespace, v1alpha1.PlaceholderNamespace} {
		if err := s.cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	// What drains nodes, or declares demand by calls, is not asked for here.
	for _, pattern := range []string{"crd/*", "rbac/webhook*", "rbac/extender*", "rbac/reserver", "rbac/console", "policy/*", "flowcontrol/*"} {
		files, err := filepath.Glob(filepath.Join(root, "manifests", filepath.FromSlash(pattern)+".yaml"))
		if err != nil {
			return err
		}
		if err := s.cluster.ApplyFiles(ctx, files...); err != nil {
			return err
		}
	}
	return nil
}

// Relay is what leads reviews to the webhooks that are ready; nil where there is one.
func (s *Stack) Relay() *relay.Relay { return s.relay }

// get asks a process of ours for a page.
func get(ctx context.Context, address, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	return short.Do(request)
}

// short is for processes that may hang.
var short = &http.Client{Timeout: 2 * time.Second}
