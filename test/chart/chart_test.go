package chart

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	ctrl "sigs.k8s.io/controller-runtime"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/config"
)

var (
	root   = filepath.Join("..", "..")
	folder = filepath.Join(root, "manifests", "chart")
)

// choices are values that between them make every template do all that it can.
var choices = map[string]string{
	"default":      "{}",
	"all":          "{namespace: {create: true}, certificate: {mode: CertManager}, criticalPodsQuota: {enabled: true}, tracing: {endpoint: 'http://collector.observability:4318', samplingRatePerMillion: 1000000}, reserver: {drain: true, callsSecret: calls}, monitoring: {podMonitor: true, rules: true}, extender: {mode: SecondScheduler, extraVolumes: [{name: ca, configMap: {name: ca}}], extraVolumeMounts: [{name: ca, mountPath: /ca}]}, image: {pullSecrets: [pull]}, console: {enabled: true, certificateSecret: own, config: {idleTimeout: 10m}}, webhook: {config: {kinds: [{group: example.com, version: v1, resource: widgets, kind: Widget, count: spec.replicas=1}]}}}",
	"files":        "{certificate: {mode: Files, secretName: own}, extender: {mode: None}, webhook: {config: {drainSeconds: 20, clientCA: {file: /ca/ca.crt}}, extraVolumes: [{name: ca, configMap: {name: ca}}], extraVolumeMounts: [{name: ca, mountPath: /ca}], podAnnotations: {a: b}, tolerations: [{operator: Exists}]}}",
	"reserver":     "{webhook: {enabled: false}, extender: {mode: None}, reserver: {config: {history: {source: Prometheus, prometheus: {url: 'http://prometheus.monitoring:9090'}}}}, networkPolicy: {reserverEgress: [{ports: [{port: 9090}]}], metricsFrom: [{namespaceSelector: {}}]}}",
	"webhook":      "{reserver: {enabled: false}, extender: {mode: None}, crds: {keep: false}, flowControl: {enabled: false}, networkPolicy: {enabled: false}}",
	"one console":  "{webhook: {enabled: false}, reserver: {enabled: false}, extender: {mode: None}, console: {enabled: true}}",
	"one extender": "{webhook: {enabled: false}, reserver: {enabled: false}, extender: {config: {undecided: Error, serving: {certFile: /tls/tls.crt, keyFile: /tls/tls.key}}, extraVolumes: [{name: tls, secret: {secretName: tls}}], extraVolumeMounts: [{name: tls, mountPath: /tls}]}}",
}

func TestMain(m *testing.M) {
	slog.SetLogLoggerLevel(slog.LevelWarn) // Helm tells of every link that it follows
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// render returns the objects of the chart.
func render(t *testing.T, values string) []*unstructured.Unstructured {
	t.Helper()
	r, err := Render(t.Context(), folder, Namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, []byte(r.Manifest))
}

func objects(t *testing.T, manifest []byte) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for document := range bytes.SplitSeq(manifest, []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &o.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
	return all
}

func key(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName())
}

// of returns the objects of a kind, read as T.
func of[T any](t *testing.T, all []*unstructured.Unstructured, kind string) []T {
	t.Helper()
	var found []T
	for _, o := range all {
		if o.GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true); err != nil {
			t.Fatalf("%s: %v", key(o), err)
		}
		found = append(found, typed)
	}
	return found
}

func TestLint(t *testing.T) {
	for name, values := range choices {
		t.Run(name, func(t *testing.T) {
			set, err := Values(values)
			if err != nil {
				t.Fatal(err)
			}
			lint := action.NewLint()
			lint.Namespace, lint.Strict = Namespace, true
			result := lint.Run([]string{folder}, set)
			if len(result.Errors) > 0 || result.TotalChartsLinted != 1 {
				t.Errorf("%v", result.Errors)
			}
			for _, message := range result.Messages {
				if message.Severity > support.InfoSev {
					t.Error(message)
				}
			}
		})
	}
}

// TestGenerated: what is generated is what the chart makes now.
func TestGenerated(t *testing.T) {
	files, err := Files(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is stale; run make generate:\n%s", path, diff)
		}
	}
}

// TestValues: what cannot work is refused before anything is installed, and the error says where.
func TestValues(t *testing.T) {
	cases := map[string]struct{ namespace, values, want string }{
		"another namespace":     {"default", "{}", `install with --namespace forewarm-system`},
		"a word that is wrong":  {Namespace, "{webhok: {replicas: 3}}", "webhok"},
		"and below":             {Namespace, "{webhook: {replica: 3}}", "/webhook"},
		"no replica":            {Namespace, "{webhook: {replicas: 0}}", "/webhook/replicas"},
		"a number as text":      {Namespace, "{webhook: {replicas: two}}", "/webhook/replicas"},
		"a mode":                {Namespace, "{certificate: {mode: Vault}}", "'SelfManaged', 'CertManager', 'Files'"},
		"files without any":     {Namespace, "{certificate: {mode: Files}}", "certificate.secretName"},
		"a pull policy":         {Namespace, "{image: {pullPolicy: Sometimes}}", "/image/pullPolicy"},
		"a port":                {Namespace, "{networkPolicy: {apiServerPorts: [0]}}", "/networkPolicy/apiServerPorts/0"},
		"another placeholder":   {Namespace, "{reserver: {config: {placeholderNamespace: other}}}", "/reserver/config/placeholderNamespace"},
		"its own certificate":   {Namespace, "{webhook: {config: {certificate: {mode: Files}}}}", "/webhook/config/certificate"},
		"a collector's URL":     {Namespace, "{tracing: {endpoint: 'collector:4317'}}", "/tracing/endpoint"},
		"TLS in the pod":        {Namespace, "{extender: {mode: SecondScheduler, config: {serving: {certFile: a, keyFile: b}}}}", "leave extender.config.serving out"},
		"no host in the pod":    {Namespace, "{extender: {mode: SecondScheduler, config: {address: ':8888'}}}", "extender.config.address with a host"},
		"how to meet extenders": {Namespace, "{extender: {mode: Sidecar}}", "/extender/mode"},
		"a resource of its own": {Namespace, "{extender: {managedResources: [cpu]}}", "/extender/managedResources/0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := Render(t.Context(), folder, c.namespace, c.values); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestManagedResources: the second scheduler asks about GPUs of all vendors, about what else it is told to, and twice about nothing, which kube-scheduler would not start with.
func TestManagedResources(t *testing.T) {
	for values, more := range map[string][]string{
		"{extender: {mode: SecondScheduler}}":                                                     {},
		"{extender: {mode: SecondScheduler, managedResources: null}}":                             {}, // --reuse-values of an earlier chart
		"{extender: {mode: SecondScheduler, managedResources: [google.com/tpu, nvidia.com/gpu]}}": {"google.com/tpu"},
	} {
		for _, m := range of[corev1.ConfigMap](t, render(t, values), "ConfigMap") {
			if m.Name != "forewarm-scheduler" {
				continue
			}
			var c struct {
				Extenders []struct {
					ManagedResources []struct {
						Name               string
						IgnoredByScheduler bool
					}
				}
			}
			if err := yaml.Unmarshal([]byte(m.Data["scheduler.yaml"]), &c); err != nil {
				t.Fatal(err)
			}
			managed := map[string]bool{}
			for _, r := range c.Extenders[0].ManagedResources {
				if managed[r.Name] || r.IgnoredByScheduler != (r.Name == v1alpha1.ResourceManaged) {
					t.Errorf("%s: %s is there twice, or ignored: %v", values, r.Name, r.IgnoredByScheduler)
				}
				managed[r.Name] = true
			}
			for _, name := range append(more, "nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.5gb", "nvidia.com/mig-7g.141gb", "amd.com/gpu", "gpu.intel.com/xe", v1alpha1.ResourceManaged) {
				if !managed[name] {
					t.Errorf("%s: %s is not asked about", values, name)
				}
			}
		}
	}
}

// TestLease: the extender may follow the Lease that it is told to.
func TestLease(t *testing.T) {
	for values, want := range map[string][]string{
		"{}": {"kube-system/kube-scheduler"},
		"{extender: {config: {schedulerLease: ''}}}":            {"kube-system/kube-scheduler"},
		"{extender: {config: {schedulerLease: ops/scheduler}}}": {"kube-system/kube-scheduler", "ops/scheduler"},
	} {
		all := render(t, values)
		var may []string
		for _, b := range of[rbacv1.RoleBinding](t, all, "RoleBinding") {
			for _, r := range of[rbacv1.Role](t, all, "Role") {
				if b.Subjects[0].Name != "forewarm-extender" || r.Namespace != b.Namespace || r.Name != b.RoleRef.Name {
					continue
				}
				for _, rule := range r.Rules {
					if slices.Contains(rule.Resources, "leases") && slices.Contains(rule.Verbs, "watch") {
						may = append(may, r.Namespace+"/"+rule.ResourceNames[0])
					}
				}
			}
		}
		if slices.Sort(may); !slices.Equal(may, want) {
			t.Errorf("%s: the extender may follow %v, want %v", values, may, want)
		}
	}
}

// TestRights: the chart brings exactly the rights, policies and levels that lie beside it, and the tests of
// which the processes run with.
func TestRights(t *testing.T) {
	rendered := map[string]*unstructured.Unstructured{}
	for mode, certificate := range map[string]string{"ControlPlane": "SelfManaged", "SecondScheduler": "CertManager"} {
		once := map[string]bool{}
		for _, o := range render(t, "{certificate: {mode: "+certificate+"}, reserver: {drain: true, callsSecret: calls}, monitoring: {podMonitor: true, rules: true}, console: {enabled: true}, extender: {mode: "+mode+"}}") {
			if once[key(o)] {
				t.Errorf("%s is twice in the chart", key(o))
			}
			once[key(o)], rendered[key(o)] = true, o
		}
	}
	for values, unasked := range map[string]string{
		"":                                   "forewarm-drainer",
		"{reserver: {drain: true}}":          "forewarm-calls",
		"{extender: {mode: ControlPlane}}":   "forewarm-console",
		"{certificate: {mode: CertManager}}": "forewarm-webhook-ca",
		"{certificate: {mode: Files, secretName: own}}": "forewarm-webhook-ca",
	} {
		for _, o := range render(t, values) {
			if o.GetName() == unasked {
				t.Errorf("%q: %s is in the chart though nobody has asked for it", values, key(o))
			}
		}
	}
	for _, pattern := range []string{"rbac/*", "policy/*", "flowcontrol/*", "certificates/*", "webhook/service.yaml", "monitoring/p*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, "manifests", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range objects(t, data) {
				got, is := rendered[key(want)]
				if !is {
					t.Errorf("%s of %s is not in the chart", key(want), file)
				} else if diff := cmp.Diff(want.Object, got.Object); diff != "" {
					t.Errorf("%s of %s: %s", key(want), file, diff)
				}
			}
		}
	}
}

// TestConfig: the processes read the configuration that the chart writes.
func TestConfig(t *testing.T) {
	for name, values := range choices {
		for _, m := range of[corev1.ConfigMap](t, render(t, values), "ConfigMap") {
			for file, text := range m.Data {
				if file == "scheduler.yaml" {
					continue // TestEntry of package handler reads it
				}
				path := filepath.Join(t.TempDir(), file)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := config.Load(path); err != nil {
					t.Errorf("%s: %s of ConfigMap %s: %v", name, file, m.Name, err)
				}
			}
		}
	}
}

// TestMemory: Go is told of each container's limit of memory, and of none where there is none.
func TestMemory(t *testing.T) {
	for name, values := range choices {
		r, err := Render(t.Context(), folder, Namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		all := append(objects(t, []byte(r.Manifest)), objects(t, []byte(r.Hooks))...)
		for _, c := range containers(t, all) {
			told := slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool {
				return v.Name == "GOMEMLIMIT" && v.ValueFrom != nil && v.ValueFrom.ResourceFieldRef != nil && v.ValueFrom.ResourceFieldRef.Resource == "limits.memory"
			})
			if _, limited := c.Resources.Limits[corev1.ResourceMemory]; told != limited {
				t.Errorf("%s: container %s has limits %v, and Go is told of them: %t", name, c.Name, c.Resources.Limits, told)
			}
		}
	}
}

// containers are those of all pods that objects make.
func containers(t *testing.T, all []*unstructured.Unstructured) (found []corev1.Container) {
	t.Helper()
	for _, d := range of[appsv1.Deployment](t, all, "Deployment") {
		found = append(found, d.Spec.Template.Spec.Containers...)
	}
	for _, d := range of[appsv1.DaemonSet](t, all, "DaemonSet") {
		found = append(found, d.Spec.Template.Spec.Containers...)
	}
	for _, j := range of[batchv1.Job](t, all, "Job") {
		found = append(found, j.Spec.Template.Spec.Containers...)
	}
	return found
}

// TestRolledOut: pods are replaced where a file changes that they read at their start only, be it by a value or by
// another version of the chart.
func TestRolledOut(t *testing.T) {
	before, after := load(t), load(t)
	for _, file := range after.Templates {
		if file.Name == "templates/_helpers.tpl" {
			file.Data = bytes.ReplaceAll(file.Data, []byte("\n  weight: 5\n"), []byte("\n  weight: 6\n"))
		}
	}
	sum := func(c *chart.Chart, values string) string {
		t.Helper()
		r, err := made(t.Context(), c, Namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range of[appsv1.Deployment](t, objects(t, []byte(r.Manifest)), "Deployment") {
			if d.Name == "forewarm-scheduler" {
				return d.Spec.Template.Annotations["forewarm.dev/config"]
			}
		}
		t.Fatal("no second scheduler")
		return ""
	}
	first := sum(before, "{extender: {mode: SecondScheduler}}")
	for name, other := range map[string]string{
		"the scheduler's file": sum(after, "{extender: {mode: SecondScheduler}}"),
		"the extender's file":  sum(before, "{extender: {mode: SecondScheduler, config: {undecided: Error}}}"),
	} {
		if first == other || first == "" {
			t.Errorf("%s has changed, and the pods of the second scheduler stay: %s", name, first)
		}
	}
}

// TestTracing: each part that can sends spans where it is asked for, is let, and may have a place of its own to
// send them; and nowhere unless it is asked for.
func TestTracing(t *testing.T) {
	for values, want := range map[string]map[string]string{
		"{extender: {mode: SecondScheduler}, console: {enabled: true}}": {},
		"{tracing: null, extender: {mode: SecondScheduler}}":            {}, // --reuse-values of an earlier chart
		"{tracing: {endpoint: 'http://c:4318', samplingRatePerMillion: 1000000}, extender: {mode: SecondScheduler, config: {tracing: {endpoint: 'http://own:1'}}}, console: {enabled: true}}": {
			"webhook": "http://c:4318", "reserver": "http://c:4318", "extender": "http://own:1",
		},
	} {
		all, got := render(t, values), map[string]string{}
		for _, m := range of[corev1.ConfigMap](t, all, "ConfigMap") {
			for file, text := range m.Data {
				if file == "scheduler.yaml" {
					continue
				}
				path := filepath.Join(t.TempDir(), file)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				c, err := config.Load(path)
				if err != nil {
					t.Fatal(err)
				}
				for part, tracing := range map[string]*config.Tracing{"webhook": c.Webhook.Tracing, "extender": c.Extender.Tracing, "reserver": c.Reserver.Tracing} {
					if tracing != nil {
						got[part] = tracing.Endpoint
						if *tracing.SamplingRatePerMillion != 1_000_000 {
							t.Errorf("%s: rate %d", part, *tracing.SamplingRatePerMillion)
						}
					}
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", values, diff)
		}
		for _, p := range of[networkingv1.NetworkPolicy](t, all, "NetworkPolicy") {
			may := slices.ContainsFunc(p.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool { return rule.Ports[0].Port.IntVal == 4318 })
			part := strings.TrimPrefix(p.Name, "forewarm-")
			if should := len(want) > 0 && part != "console" && part != "placeholders"; may != should {
				t.Errorf("%s: %s may send spans: %t, want %t", values, p.Name, may, should)
			}
		}
	}
}

// TestCRDs: all are installed and, unless told otherwise, kept.
func TestCRDs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "manifests", "crd", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for values, want := range map[string]int{"{}": len(files), "{crds: {keep: false}}": 0} {
		kept, all := 0, 0
		for _, o := range render(t, values) {
			if o.GetKind() != "CustomResourceDefinition" {
				continue
			}
			all++
			if o.GetAnnotations()["helm.sh/resource-policy"] == "keep" {
				kept++
			}
		}
		if all != len(files) || kept != want {
			t.Errorf("%s: %d CRDs of which %d are kept, want %d and %d", values, all, kept, len(files), want)
		}
	}
}

// TestSelectors: each Deployment has a budget, each is let speak and be spoken to on what it serves, and the
// Services lead to what they are named after.
func TestSelectors(t *testing.T) {
	all := render(t, choices["all"])
	budgets, policies := of[policyv1.PodDisruptionBudget](t, all, "PodDisruptionBudget"), of[networkingv1.NetworkPolicy](t, all, "NetworkPolicy")
	deployments := of[appsv1.Deployment](t, all, "Deployment")
	if len(deployments) != 4 {
		t.Fatalf("%d Deployments, want webhook, reserver, scheduler and console", len(deployments))
	}
	selects := func(selector *metav1.LabelSelector, d appsv1.Deployment) bool {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		return s.Matches(labels.Set(d.Spec.Template.Labels))
	}
	for _, d := range deployments {
		if !selects(d.Spec.Selector, d) {
			t.Errorf("%s does not select its pods", d.Name)
		}
		matching := 0
		for _, b := range budgets {
			if selects(b.Spec.Selector, d) {
				matching++
			}
		}
		if matching != 1 {
			t.Errorf("%s has %d PodDisruptionBudgets", d.Name, matching)
		}
		open := map[int32]bool{}
		for _, p := range policies {
			if p.Namespace != d.Namespace || !selects(&p.Spec.PodSelector, d) {
				continue
			}
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					open[port.Port.IntVal] = true
				}
			}
		}
		served := map[int32]bool{}
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, port := range c.Ports {
				served[port.ContainerPort] = true
			}
		}
		if diff := cmp.Diff(served, open); diff != "" {
			t.Errorf("%s: ports served (-) and opened (+): %s", d.Name, diff)
		}
	}
	for _, service := range of[corev1.Service](t, all, "Service") {
		if !slices.ContainsFunc(deployments, func(d appsv1.Deployment) bool {
			return d.Name == service.Name && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels))
		}) {
			t.Errorf("the Service %s leads nowhere", service.Name)
		}
	}
}
