// Package stack runs Forewarm's own processes on a test control plane, as an installation would.
package stack

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/internal/config"
	"forewarm.dev/test/cluster"
)

// Stack is the webhook, the extender and the reserver with their addresses.
type Stack struct {
	config config.Config
}

// New picks free ports on loopback. It comes before the control plane, whose scheduler
// needs to know where the extender will be.
func New() (*Stack, error) {
	s := &Stack{config: config.Default()}
	for _, address := range []*string{
		&s.config.Webhook.Address, &s.config.Webhook.MetricsAddress, &s.config.Webhook.HealthAddress,
		&s.config.Extender.Address, &s.config.Extender.MetricsAddress, &s.config.Extender.HealthAddress,
		&s.config.Reserver.MetricsAddress, &s.config.Reserver.HealthAddress,
	} {
		port, err := cluster.FreePort()
		if err != nil {
			return nil, err
		}
		*address = "127.0.0.1:" + strconv.Itoa(port)
	}
	s.config.Webhook.URL = "https://" + s.config.Webhook.Address
	s.config.Webhook.DrainSeconds = 0
	return s, nil
}

// SchedulerExtender is the scheduler's side of the extender.
func (s *Stack) SchedulerExtender() configv1.Extender {
	return handler.SchedulerEntry("http://"+s.config.Extender.Address, string(cluster.GPU))
}

// Start installs the CRDs and starts the processes from the folder of binaries; it returns
// when all are ready. They end with the cluster.
func (s *Stack) Start(ctx context.Context, c *cluster.Cluster, root, binaries string) error {
	crds, err := filepath.Glob(filepath.Join(root, "manifests", "crd", "*.yaml"))
	if err != nil {
		return err
	}
	if err := c.ApplyFiles(ctx, crds...); err != nil {
		return err
	}
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}
	if err := c.CreateNamespace(ctx, system); err != nil {
		return err
	}
	path := filepath.Join(c.Dir, "forewarm.yaml")
	data, err := yaml.Marshal(s.config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return err
	}
	health := map[string]string{
		"webhook": s.config.Webhook.HealthAddress, "extender": s.config.Extender.HealthAddress, "reserver": s.config.Reserver.HealthAddress,
	}
	for _, name := range []string{"webhook", "extender", "reserver"} {
		args := []string{"--config", path, "--kubeconfig", c.Kubeconfig}
		if _, err := c.StartProcess(context.WithoutCancel(ctx), name, filepath.Join(binaries, name), args, nil); err != nil {
			return err
		}
	}
	for name, address := range health {
		if err := ready(ctx, c, name, address); err != nil {
			return err
		}
	}
	return nil
}

// ready waits until a process says that it is.
func ready(ctx context.Context, c *cluster.Cluster, name, address string) error {
	err := cluster.Wait(ctx, time.Minute, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s did not become ready: %w; its log says:\n%s", name, err, c.LogOf(name))
	}
	return nil
}
