package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// TestPlain: what docs/install.md and docs/upgrade.md say to do without Helm, with the second scheduler and the
// console: all that is applied comes up, the processes work with what it gives them, and nothing is left of it.
func TestPlain(t *testing.T) {
	e := newEnv(t)
	if err := e.Client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}); err != nil {
		t.Fatal(err)
	}
	e.gone(t, Namespace) // it is one of what is applied
	before := e.inventory(t)
	crds, err := filepath.Glob(filepath.Join(root, "manifests", "crd", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	plain := []string{filepath.Join(root, "manifests", "install.yaml"), filepath.Join(root, "manifests", "scheduler", "second-scheduler.yaml"), filepath.Join(root, "manifests", "console.yaml")}
	if err := e.ApplyFiles(t.Context(), append(crds, plain...)...); err != nil {
		t.Fatal(err)
	}
	extender := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "forewarm-extender"}}
	if err := e.Client.Delete(t.Context(), extender); err != nil {
		t.Fatal(err)
	}
	for name, replicas := range map[string]int32{"forewarm-webhook": 2, "forewarm-reserver": 2, "forewarm-scheduler": 2, "forewarm-console": 1} {
		e.available(t, name, replicas)
	}
	webhook, reserver := e.replica(t, nil, "webhook", "webhook"), e.replica(t, nil, "reserver", "reserver")
	e.container(t, "webhook", webhook.Process)
	e.container(t, "reserver", reserver.Process)
	e.replica(t, nil, "console", "console")
	e.use(t)
	ctl := exec.CommandContext(t.Context(), filepath.Join(e.bin, "forewarmctl"), "uninstall", "--kubeconfig", e.Kubeconfig)
	if output, err := ctl.CombinedOutput(); err != nil || !strings.Contains(string(output), "is left") {
		t.Fatalf("forewarmctl uninstall: %v\n%s", err, output)
	}
	slices.Reverse(plain)
	for _, file := range plain {
		e.deletes(t, file)
	}
	e.gone(t, Namespace)
	e.nothingLeft(t, before)
}

// deletes is kubectl delete -f.
func (e *env) deletes(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t, data) {
		if err := e.Client.Delete(t.Context(), o, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			t.Errorf("delete %s: %v", key(o), err)
		}
	}
}

// gone waits until a Namespace is.
func (e *env) gone(t *testing.T, name string) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		if err := e.Client.Get(t.Context(), client.ObjectKey{Name: name}, &corev1.Namespace{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the namespace %s is not gone yet: %w", name, err)
		}
		return nil
	})
}
