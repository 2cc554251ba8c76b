package chart

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/relay"
)

// patience bounds what takes milliseconds on an idle machine.
const patience = time.Minute

// called is where the chart has the Secret of signed calls mounted.
const called = "/etc/forewarm/calls"

// env is a control plane on which the chart is installed by Helm, as a person would. KWOK plays the
// kubelets, so what runs in the chart's pods is nothing; the processes themselves run beside it, with the
// configuration that the chart has written and the rights of the ServiceAccounts that it has made.
type env struct {
	*cluster.Cluster
	bin    string
	values string
	health map[string]string
	// console is where browsers reach the console.
	console string
	// mounts are the folders here that play what is mounted in pods, by where.
	mounts map[string]string
}

func newEnv(t *testing.T) *env {
	t.Helper()
	node := func(name, zone string, labels map[string]string) cluster.NodeTemplate {
		all := map[string]string{corev1.LabelTopologyZone: zone, corev1.LabelOSStable: "linux"}
		maps.Copy(all, labels)
		return cluster.NodeTemplate{Name: name, Count: 1, Labels: all, GPUs: 2}
	}
	e := &env{bin: cluster.Programs(t), health: map[string]string{}, mounts: map[string]string{}}
	e.Cluster = cluster.ForTest(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true,
		StaticNodes: []cluster.NodeTemplate{
			node("a", "zone-a", nil), node("b", "zone-b", nil), node("c", "zone-c", nil),
			node("control", "zone-a", map[string]string{"node-role.kubernetes.io/control-plane": "true"}),
		},
	})
	for name, labels := range map[string]map[string]string{Namespace: {"pod-security.kubernetes.io/enforce": "restricted"}, "web": nil} {
		if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}); err != nil {
			t.Fatal(err)
		}
	}
	e.values = e.addresses(t)
	e.mounts[called] = t.TempDir()
	if err := os.WriteFile(filepath.Join(e.mounts[called], "secret"), []byte("a secret of the tests, of more than 32 characters"), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

// addresses are values that keep the processes, which share this machine, out of each other's way.
func (e *env) addresses(t *testing.T) string {
	t.Helper()
	free := func() string {
		port, err := cluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("127.0.0.1:%d", port)
	}
	var values strings.Builder
	webhook := free()
	for process, more := range map[string]string{"webhook": fmt.Sprintf("address: %q, url: 'https://%s', drainSeconds: 1, ", webhook, webhook), "reserver": "", "extender": fmt.Sprintf("address: %q, ", free())} {
		e.health[process] = free()
		fmt.Fprintf(&values, "%s: {config: {%shealthAddress: %q, metricsAddress: %q}}\n", process, more, e.health[process], free())
	}
	values.WriteString("console: {enabled: true}\n")
	return values.String()
}

// through puts a relay before the webhook, which plays its Service.
func (e *env) through(t *testing.T) *relay.Relay {
	t.Helper()
	service, err := relay.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	e.values = regexp.MustCompile(`url: '[^']*'`).ReplaceAllString(e.values, fmt.Sprintf("url: 'https://127.0.0.1:%d'", service.Port()))
	return service
}

func (e *env) helm(t *testing.T, namespace string) *action.Configuration {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.Namespace = &e.Kubeconfig, &namespace
	c := action.NewConfiguration()
	if err := c.Init(flags, namespace, "secret"); err != nil {
		t.Fatal(err)
	}
	return c
}

// load reads the chart.
func load(t *testing.T) *chart.Chart {
	t.Helper()
	loaded, err := loader.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// install is helm install.
func (e *env) install(t *testing.T, loaded *chart.Chart) {
	t.Helper()
	values, err := Values(e.values)
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(e.helm(t, Namespace))
	install.ReleaseName, install.Namespace, install.WaitStrategy, install.Timeout = Release, Namespace, kube.HookOnlyStrategy, patience
	install.ServerSideApply = true
	if _, err := install.RunWithContext(t.Context(), loaded, values); err != nil {
		t.Fatalf("helm install: %v", err)
	}
}

// upgrade is helm upgrade with more values.
func (e *env) upgrade(t *testing.T, more string) {
	t.Helper()
	values, err := Values(more)
	if err != nil {
		t.Fatal(err)
	}
	upgrade := action.NewUpgrade(e.helm(t, Namespace))
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout, upgrade.ReuseValues, upgrade.ServerSideApply = Namespace, kube.HookOnlyStrategy, patience, true, "auto"
	if _, err := upgrade.RunWithContext(t.Context(), Release, load(t), values); err != nil {
		t.Fatalf("helm upgrade: %v", err)
	}
}
