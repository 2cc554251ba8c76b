package kueue

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func workload(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	fields := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: fields}
}

func TestProgress(t *testing.T) {
	const conditions = `status: {conditions: [{type: QuotaReserved, status: "True"}, {type: Admitted, status: "False"}]}`
	for name, test := range map[string]struct {
		text                       string
		active, reserved, admitted bool
	}{
		"nothing is said":       {`metadata: {name: w}`, true, false, false},
		"its quota is reserved": {conditions, true, true, false},
		"put aside":             {"spec: {active: false}\n" + conditions, false, true, false},
		"told elsewhere":        {`status: {conditions: none}`, true, false, false},
	} {
		p := ProgressOf(workload(t, test.text))
		if p.Active() != test.active || p.Is("QuotaReserved") != test.reserved || p.Is("Admitted") != test.admitted {
			t.Errorf("%s: active %t, reserved %t, admitted %t", name, p.Active(), p.Is("QuotaReserved"), p.Is("Admitted"))
		}
		if p.Is("Admitted", "QuotaReserved") != test.reserved {
			t.Errorf("%s: one of two is %t", name, !test.reserved)
		}
	}
}

// TestRead: what both versions say, and what v1beta2 says of the priority.
func TestRead(t *testing.T) {
	w, ok := Read(workload(t, `
apiVersion: kueue.x-k8s.io/v1beta2
kind: Workload
metadata: {namespace: ml, name: w}
spec:
  queueName: q
  priority: 7
  priorityClassRef: {kind: PriorityClass}
  podSets:
  - {name: main, count: 4, topologyRequest: {required: rack}, template: {spec: {containers: [{name: c}]}}}
status:
  admissionChecks: [{name: prov}]
  admission: {podSetAssignments: [{name: main, count: 3}]}
`))
	if !ok || w.Kind != "Workload" || w.Name != "w" || w.Spec.Queue != "q" || *w.Spec.Priority != 7 || w.Spec.Ref.Kind != "PriorityClass" {
		t.Fatalf("read %t, %+v", ok, w)
	}
	set, assigned := w.Spec.PodSets[0], w.Status.Admission.Assignments[0]
	if set.Count != 4 || *set.Topology.Required != "rack" || len(set.Template.Spec.Containers) != 1 || *assigned.Count != 3 || w.Status.AdmissionChecks[0].Name != "prov" {
		t.Errorf("pods %+v, assigned %+v, checks %v", set, assigned, w.Status.AdmissionChecks)
	}
	if _, ok := Read(workload(t, `spec: {podSets: 3}`)); ok {
		t.Error("a version that says it elsewhere is read")
	}
}
