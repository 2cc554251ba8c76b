package chart

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/cluster/relay"
)

// newcomer is an autoscaler that only the newer release knows.
const newcomer = "system:serviceaccount:newcomer:autoscaler"

// lag is how late a Service leads somewhere else.
const lag = 500 * time.Millisecond

// TestUpgradeUnderLoad: while Namespaces with a total are written to, in which growth is refused where no
// webhook answers, an older chart is upgraded and its processes are replaced one by one. No write fails, no
// review fails open, and nothing of the older chart is left (ADR 74).
func TestUpgradeUnderLoad(t *testing.T) {
	e := newEnv(t)
	service := e.through(t)
	e.install(t, previous(t))
	old := []replica{e.replica(t, service, "webhook", "webhook-a"), e.replica(t, service, "webhook", "webhook-b"), e.replica(t, nil, "reserver", "reserver-a")}
	e.use(t)
	e.isPrevious(t)
	writers := e.writers(t)
	e.upgrade(t, fmt.Sprintf("{webhook: {config: {autoscalers: [%q]}}}", newcomer))
	for i, p := range old {
		part, through := "webhook", service
		if i == 2 {
			part, through = "reserver", nil
		}
		e.replica(t, through, part, fmt.Sprintf("%s-new-%d", part, i))
		if err := p.Stop(3 * patience); err != nil { // connections that rest are waited for
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	e.isCurrent(t)
	e.use(t) // ceilings, clamps and placeholders are as they were, and follow what changes
	writes, slowest, failed := writers()
	if len(failed) > 0 {
		t.Errorf("%d of %d writes failed, such as %v", len(failed), writes, failed[0])
	}
	t.Logf("%d writes, the slowest took %s", writes, slowest)
	if writes < 100 {
		t.Errorf("%d writes are no load", writes)
	}
	for _, metric := range []string{`apiserver_admission_webhook_fail_open_count{`, `apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error"`} {
		if n := e.counted(t, metric); n != 0 {
			t.Errorf("%s: %v reviews got no answer", metric, n)
		}
	}
}

// previous is the chart as one before it might have been: of another version, with CRDs that lack columns, a
// policy that was laxer, an object that is no more, and without a value that is new.
func previous(t *testing.T) *chart.Chart {
	t.Helper()
	before := older(t)
	before.Metadata.AppVersion = "0.0.1"
	delete(before.Values, "tracing")
	before.Schema = nil
	changed := 0
	for _, file := range before.Files {
		if file.Name == "files/policy/capacityplans.yaml" && bytes.Contains(file.Data, []byte("failurePolicy: Fail")) {
			file.Data = bytes.ReplaceAll(file.Data, []byte("failurePolicy: Fail"), []byte("failurePolicy: Ignore"))
			changed++
		}
	}
	for _, file := range before.Templates {
		if file.Name == "templates/crds.yaml" {
			file.Data = append(bytes.Clone(file.Data), []byte("\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: forewarm-gone, namespace: forewarm-system}\n")...)
			changed++
		}
	}
	if changed != 2 {
		t.Fatalf("%d of 2 files were changed", changed)
	}
	return before
}

// state is what of the release is looked at.
func (e *env) state(t *testing.T) (columns int, policy string, gone bool, version string) {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	lax := &admissionregistrationv1.ValidatingAdmissionPolicyList{}
	d := &appsv1.Deployment{}
	for _, err := range []error{
		e.Client.Get(t.Context(), client.ObjectKey{Name: "warmpools.forewarm.dev"}, crd),
		e.Client.List(t.Context(), lax),
		e.Client.Get(t.Context(), client.ObjectKey{Namespace: Namespace, Name: "forewarm-webhook"}, d),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range lax.Items {
		if strings.Contains(p.Name, "capacityplan") {
			policy = string(*p.Spec.FailurePolicy)
		}
	}
	err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: Namespace, Name: "forewarm-gone"}, &corev1.ConfigMap{})
	return len(crd.Spec.Versions[0].AdditionalPrinterColumns), policy, apierrors.IsNotFound(err), d.Labels["app.kubernetes.io/version"]
}

// knows says whether the webhook is registered as the newer release does it.
func (e *env) knows(t *testing.T) bool {
	t.Helper()
	c := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "forewarm"}, c); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(c.String(), newcomer)
}

func (e *env) isPrevious(t *testing.T) {
	t.Helper()
	if columns, policy, gone, version := e.state(t); columns != 0 || policy != "Ignore" || gone || version != "0.0.1" || e.knows(t) {
		t.Fatalf("the previous release is not: %d columns, policy %s, gone %t, version %s", columns, policy, gone, version)
	}
}

func (e *env) isCurrent(t *testing.T) {
	t.Helper()
	if columns, policy, gone, version := e.state(t); columns == 0 || policy != "Fail" || !gone || version == "0.0.1" {
		t.Errorf("the upgrade is not whole: %d columns, policy %s, gone %t, version %s", columns, policy, gone, version)
	}
	cluster.Eventually(t, patience, func() error {
		if !e.knows(t) {
			return fmt.Errorf("the webhook is registered as the older release did it")
		}
		return nil
	})
	configurations := &admissionregistrationv1.ValidatingWebhookConfigurationList{}
	if err := e.Client.List(t.Context(), configurations); err != nil || len(configurations.Items) != 1 {
		t.Errorf("%d configurations of webhooks, %v", len(configurations.Items), err)
	}
	placeholders := &corev1.PodList{}
	if err := e.Client.List(t.Context(), placeholders, client.InNamespace(v1alpha1.PlaceholderNamespace)); err != nil || len(placeholders.Items) < 2 {
		t.Errorf("%d placeholders, %v, want those that stood before", len(placeholders.Items), err)
	}
}

// replica is a process, and the port that it serves on.
type replica struct {
	*cluster.Process
	port int
}

// replica runs a process with the configuration that the chart has written and addresses of its own, and waits
// until it is ready; service, if any, leads to it while it is, as a Service would.
func (e *env) replica(t *testing.T, service *relay.Relay, part, name string) replica {
	t.Helper()
	settings := map[string]any{}
	if err := yaml.Unmarshal([]byte(e.written(t, installed{Namespace, "forewarm-" + part, "config.yaml"})), &settings); err != nil {
		t.Fatal(err)
	}
	ports := map[string]int{}
	for _, field := range []string{"address", "healthAddress", "metricsAddress"} {
		port, err := cluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if ports[field] = port; field != "address" || part != "reserver" {
			settings[part].(map[string]any)[field] = fmt.Sprintf("127.0.0.1:%d", port)
		}
	}
	if own, is := settings[part].(map[string]any); is && part == "webhook" && own["url"] == nil {
		own["url"] = fmt.Sprintf("https://127.0.0.1:%d", ports["address"]) // no Service leads to it
	}
	text, err := yaml.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := e.KubeconfigForServiceAccount(t.Context(), Namespace, "forewarm-"+part)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.StartProcess(context.WithoutCancel(t.Context()), name, filepath.Join(e.bin, part), append(e.args(t, part, path), "--kubeconfig="+kubeconfig), nil)
	if err != nil {
		t.Fatal(err)
	}
	ready := func() bool {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", ports["healthAddress"]))
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	if service != nil {
		go service.Follow(ports["address"], lag, ready, p.Done())
	}
	cluster.Eventually(t, patience, func() error {
		if !ready() || service != nil && !service.Has(ports["address"]) {
			return fmt.Errorf("%s is not ready; its log:\n%s", name, p.Log())
		}
		return nil
	})
	return replica{p, ports["address"]}
}

// args are the arguments that the chart gives a part, whose configuration file is at path.
func (e *env) args(t *testing.T, part, path string) []string {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: Namespace, Name: "forewarm-" + part}, d); err != nil {
		t.Fatal(err)
	}
	args := d.Spec.Template.Spec.Containers[0].Args
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "/etc/forewarm/config/config.yaml", path)
	}
	return args
}

// counted is the sum of what the API server counts of our webhooks in rows that begin so.
func (e *env) counted(t *testing.T, begins string) float64 {
	t.Helper()
	response, err := e.HTTPClient().Get(e.EndpointOf(assets.APIServer).Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", response.Status, err)
	}
	sum := 0.0
	for row := range strings.SplitSeq(string(text), "\n") {
		if !strings.HasPrefix(row, begins) || !strings.Contains(row, "forewarm.dev") {
			continue
		}
		value, err := strconv.ParseFloat(row[strings.LastIndexByte(row, ' ')+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += value
	}
	return sum
}
