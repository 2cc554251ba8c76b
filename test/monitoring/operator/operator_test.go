// Package operator tests that the Prometheus Operator takes what manifests/monitoring has for it.
// It is a module of its own, since the operator's types want other versions than the API server's.
package operator

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// kinds are the types of what there is.
var kinds = map[string]func() any{
	"v1 Service": func() any { return &corev1.Service{} },
	"monitoring.coreos.com/v1 ServiceMonitor": func() any { return &monitoringv1.ServiceMonitor{} },
	"monitoring.coreos.com/v1 PodMonitor":     func() any { return &monitoringv1.PodMonitor{} },
	"monitoring.coreos.com/v1 PrometheusRule": func() any { return &monitoringv1.PrometheusRule{} },
}

// read decodes the objects of a file, and fails on a field that their type does not have.
func read(t *testing.T, name string) []any {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "..", "manifests", "monitoring", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var objects []any
	for documents := yaml.NewYAMLReader(bufio.NewReader(file)); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		var kind metav1.TypeMeta
		if err := strict.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		newObject := kinds[kind.APIVersion+" "+kind.Kind]
		if newObject == nil {
			t.Fatalf("%s: no type for %s %s", name, kind.APIVersion, kind.Kind)
		}
		object := newObject()
		if err := strict.UnmarshalStrict(document, object); err != nil {
			t.Errorf("%s, %s: %v", name, kind.Kind, err)
		}
		objects = append(objects, object)
	}
}

func TestTheOperatorTakesWhatThereIs(t *testing.T) {
	parts := map[string]string{"app.kubernetes.io/part-of": "forewarm"}
	pods := read(t, "podmonitor.yaml")[0].(*monitoringv1.PodMonitor)
	if diff := cmp.Diff(parts, pods.Spec.Selector.MatchLabels); diff != "" || len(pods.Spec.PodMetricsEndpoints) != 1 {
		t.Errorf("the PodMonitor selects (-want +got):\n%s", diff)
	}
	objects := read(t, "servicemonitor.yaml")
	service, services := objects[0].(*corev1.Service), objects[1].(*monitoringv1.ServiceMonitor)
	if diff := cmp.Diff(services.Spec.Selector.MatchLabels, service.Labels); diff != "" {
		t.Errorf("the ServiceMonitor selects (-) and the Service is (+):\n%s", diff)
	}
	if service.Spec.Ports[0].Name != services.Spec.Endpoints[0].Port {
		t.Errorf("the Service's port is %s, the ServiceMonitor's %s", service.Spec.Ports[0].Name, services.Spec.Endpoints[0].Port)
	}
	if rule := read(t, "prometheusrule.yaml")[0].(*monitoringv1.PrometheusRule); len(rule.Spec.Groups) == 0 || len(rule.Spec.Groups[0].Rules) == 0 {
		t.Error("the PrometheusRule holds no rules")
	}
}
