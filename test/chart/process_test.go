package chart

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// run starts a process with what the chart gives it, and waits until it is ready.
func (e *env) run(t *testing.T, process, name, namespace string) *cluster.Process {
	t.Helper()
	settings := &corev1.ConfigMap{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "forewarm-" + process}, settings); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(settings.Data["config.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := e.KubeconfigForServiceAccount(t.Context(), namespace, "forewarm-"+process)
	if err != nil {
		t.Fatal(err)
	}
	// It outlives the part that starts it; the cluster's Stop ends it.
	p, err := e.StartProcess(context.WithoutCancel(t.Context()), name, filepath.Join(e.bin, process), []string{"--config=" + path, "--kubeconfig=" + kubeconfig}, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		response, err := http.Get("http://" + e.health[process] + "/readyz")
		if err != nil {
			return fmt.Errorf("%w; its log:\n%s", err, p.Log())
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is not ready: %s; its log:\n%s", process, response.Status, p.Log())
		}
		return nil
	})
	return p
}
