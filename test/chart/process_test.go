package chart

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

// installed is where the chart has put what a process needs: its ServiceAccount and its ConfigMap, which have one
// name, and the key of its file.
type installed struct{ namespace, name, file string }

// The places of the processes.
var (
	inWebhook   = installed{Namespace, "forewarm-webhook", "config.yaml"}
	inReserver  = installed{Namespace, "forewarm-reserver", "config.yaml"}
	inExtender  = installed{metav1.NamespaceSystem, "forewarm-extender", "config.yaml"}
	inScheduler = installed{Namespace, "forewarm-scheduler", "extender.yaml"}
)

// written is a file that the chart has written, with the folders here that play what is mounted in pods.
func (e *env) written(t *testing.T, of installed) string {
	t.Helper()
	settings := &corev1.ConfigMap{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: of.namespace, Name: of.name}, settings); err != nil {
		t.Fatal(err)
	}
	text := settings.Data[of.file]
	for path, folder := range e.mounts {
		text = strings.ReplaceAll(text, path, folder)
	}
	return text
}

// run starts a process with what the chart gives it, and waits until it is ready.
func (e *env) run(t *testing.T, process, name string, of installed) *cluster.Process {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(e.written(t, of)), 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := e.KubeconfigForServiceAccount(t.Context(), of.namespace, of.name)
	if err != nil {
		t.Fatal(err)
	}
	// It outlives the part that starts it; the cluster's Stop ends it.
	p, err := e.StartProcess(context.WithoutCancel(t.Context()), name, filepath.Join(e.bin, process), []string{"--config=" + path, "--kubeconfig=" + kubeconfig}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.ready(t, http.DefaultClient, "http://"+e.health[process]+"/readyz", p)
	return p
}

// ready waits until a process says that it is.
func (e *env) ready(t *testing.T, asks *http.Client, url string, p *cluster.Process) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		response, err := asks.Get(url)
		if err != nil {
			return fmt.Errorf("%w; its log:\n%s", err, p.Log())
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is not ready: %s; its log:\n%s", p.Name, response.Status, p.Log())
		}
		return nil
	})
}

// scheduler runs kube-scheduler as the second one: with the file and the account that the chart has made, and with
// what it would read in its pod, where the API server is and by which token it is asked, as files.
func (e *env) scheduler(t *testing.T, name string) *cluster.Process {
	t.Helper()
	of := installed{Namespace, inScheduler.name, "scheduler.yaml"}
	kubeconfig, err := e.KubeconfigForServiceAccount(t.Context(), of.namespace, of.name)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := yaml.Marshal(map[string]any{"clientConnection": map[string]any{"kubeconfig": kubeconfig}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), of.file)
	if err := os.WriteFile(path, append([]byte(e.written(t, of)+"\n"), connection...), 0o600); err != nil {
		t.Fatal(err)
	}
	scheduler, err := assets.Find(assets.Scheduler)
	if err != nil {
		t.Fatal(err)
	}
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.StartProcess(context.WithoutCancel(t.Context()), name, scheduler, []string{
		"--config=" + path, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	unverified := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // its own certificate
	e.ready(t, unverified, fmt.Sprintf("https://127.0.0.1:%d/readyz", port), p)
	return p
}
