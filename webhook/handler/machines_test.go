package handler

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"forewarm.dev/webhook"
)

// machineReview is the creation of a Machine with the rest of its metadata.
func machineReview(version, metadata string) string {
	return review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"cluster.x-k8s.io","version":%[1]q,"kind":"Machine"},"resource":{"group":"cluster.x-k8s.io","version":%[1]q,"resource":"machines"},
		"namespace":"team","name":"new","operation":"CREATE","object":{"metadata":{"name":"new",%[2]s},"spec":{}}}`, version, metadata))
}

// machineWorld has the Clusters prod and test of a version, and three Machines of prod that count,
// beside one that goes, one of test, and one of another namespace.
func machineWorld(t *testing.T, version string, cluster, namespace, system map[string]string) *world {
	t.Helper()
	group := "cluster.x-k8s.io/" + version
	live := []runtime.Object{metadataOf(group, "Cluster", "team/prod", "1", cluster), metadataOf(group, "Cluster", "team/test", "1", map[string]string{webhook.MaxNodes: "2"})}
	for key, of := range map[string]string{"team/a": "prod", "team/b": "prod", "team/c": "prod", "team/goes": "prod", "team/d": "test", "other/a": "prod"} {
		o := metadataOf(group, "Machine", key, "1", nil)
		o.Labels = map[string]string{webhook.ClusterOfMachine: of}
		if key == "team/goes" {
			o.DeletionTimestamp = new(metav1.Now())
		}
		live = append(live, o)
	}
	cached := team(namespace)
	cached[1].SetAnnotations(system)
	return newWorld(t, cached, live...)
}

func TestMachines(t *testing.T) {
	most := func(n string) map[string]string { return map[string]string{webhook.MaxNodes: n} }
	with := func(annotation, value string) map[string]string {
		return map[string]string{webhook.MaxNodes: "3", annotation: value}
	}
	const prod = `"labels":{"cluster.x-k8s.io/cluster-name":"prod"}`
	const above = `Machine team/new: 4 nodes asked for by the Machines of Cluster team/prod with this one, at most 3 allowed by annotation forewarm.dev/max-nodes="3" on `
	cases := map[string]struct {
		cluster, namespace, system map[string]string
		metadata                   string
		wantDenied                 string // empty for allowed
		wantWarned                 bool
	}{
		"above":                             {cluster: most("3"), metadata: prod, wantDenied: above + "Cluster team/prod"},
		"at":                                {cluster: most("4"), metadata: prod},
		"no ceiling":                        {metadata: prod},
		"above what the Namespace says":     {cluster: most("9"), namespace: most("3"), metadata: prod, wantDenied: above + "Namespace team"},
		"above what kube-system says":       {system: most("3"), metadata: prod, wantDenied: above + "Namespace kube-system"},
		"of a MachineSet":                   {cluster: most("3"), metadata: prod + `,"ownerReferences":[{"apiVersion":"cluster.x-k8s.io/v1beta1","kind":"MachineSet","name":"s","uid":"u","controller":true}]`},
		"owned and not controlled":          {cluster: most("3"), metadata: prod + `,"ownerReferences":[{"apiVersion":"cluster.x-k8s.io/v1beta1","kind":"Cluster","name":"prod","uid":"u"}]`, wantDenied: above},
		"of another Cluster":                {cluster: most("3"), metadata: `"labels":{"cluster.x-k8s.io/cluster-name":"test"}`},
		"of a Cluster that is not there":    {cluster: most("3"), metadata: `"labels":{"cluster.x-k8s.io/cluster-name":"none"}`},
		"of no Cluster":                     {cluster: most("3"), system: most("0"), metadata: `"labels":{}`},
		"the Cluster warns":                 {cluster: with(webhook.CeilingMode, "warn"), metadata: prod, wantWarned: true},
		"the Namespace warns":               {cluster: most("3"), namespace: map[string]string{webhook.CeilingMode: "warn"}, metadata: prod, wantWarned: true},
		"overridden":                        {cluster: with(webhook.CeilingOverride, "4 until 1970-01-02T00:00:00Z: test"), metadata: prod},
		"above the override":                {cluster: with(webhook.CeilingOverride, "3 until 1970-01-02T00:00:00Z: test"), metadata: prod, wantDenied: above},
		"an override that is over":          {cluster: with(webhook.CeilingOverride, "4 until 1969-01-01T00:00:00Z: test"), metadata: prod, wantDenied: above, wantWarned: true},
		"its own annotation says nothing":   {cluster: most("3"), metadata: prod + `,"annotations":{"forewarm.dev/max-nodes":"9"}`, wantDenied: above},
		"what cannot be read is no ceiling": {cluster: most("many"), metadata: prod, wantWarned: true},
	}
	for name, c := range cases {
		for _, version := range []string{"v1beta1", "v1beta2"} {
			t.Run(name+"/"+version, func(t *testing.T) {
				w := machineWorld(t, version, c.cluster, c.namespace, c.system)
				got := answer(t, post(w.ceilings, machineReview(version, c.metadata)))
				if got.Allowed != (c.wantDenied == "") || (!got.Allowed && !strings.Contains(got.Result.Message, c.wantDenied)) {
					t.Errorf("answer %+v, want denied: %q", got, c.wantDenied)
				}
				if (len(got.Warnings) > 0) != c.wantWarned {
					t.Errorf("warnings %q, want some: %t", got.Warnings, c.wantWarned)
				}
			})
		}
	}
}

// TestMachinesThatCannotBeCounted: it is an error, which failurePolicy lets pass, and no refusal.
func TestMachinesThatCannotBeCounted(t *testing.T) {
	for _, resource := range []string{"clusters", "machines"} {
		w := machineWorld(t, "v1beta1", nil, nil, nil)
		w.live.PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, fmt.Errorf("%s are out", resource)
		})
		if got := post(w.ceilings, machineReview("v1beta1", `"labels":{"cluster.x-k8s.io/cluster-name":"prod"}`)); got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), resource+" are out") {
			t.Errorf("%s: %d %s", resource, got.Code, got.Body)
		}
	}
}
