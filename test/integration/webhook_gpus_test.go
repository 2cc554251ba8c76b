package integration

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
)

// webhookGPUs: device plugins of every vendor, in every kind of container, and numbers that are
// none. The pods are of a scheduler that there is not, so that they take no node.
func webhookGPUs(t *testing.T, e *webhookEnv) {
	e.namespace(t, "vendors", nil)
	says := func(vendor, count, shape string) map[string]string {
		return map[string]string{v1alpha1.AnnotationGPUVendor: vendor, v1alpha1.AnnotationGPUCount: count, v1alpha1.AnnotationGPUShape: shape}
	}
	for name, c := range map[string]struct {
		// limits of the containers, of the init container, and of the sidecar that starts before it
		main, init, sidecar string
		want                map[string]string
		taint               string
		refused             func(error) bool
	}{
		"amd, the containers ask for more":      {`{amd.com/gpu: 4}`, `{amd.com/gpu: 2}`, `{amd.com/gpu: 1}`, says("amd", "5", "whole"), "amd.com/gpu", nil},
		"amd, the init container asks for more": {`{amd.com/gpu: 1}`, `{amd.com/gpu: 6}`, `{amd.com/gpu: 1}`, says("amd", "7", "whole"), "amd.com/gpu", nil},
		"amd, a partition":                      {`{amd.com/cpx_nps4: 2}`, `{}`, `{}`, says("amd", "2", "cpx_nps4"), "amd.com/gpu", nil},
		"intel": {
			`{gpu.intel.com/i915: 1, gpu.intel.com/memory.max: 8589934592}`, `{gpu.intel.com/i915: 3}`, `{gpu.intel.com/i915_monitoring: 1}`,
			says("intel", "3", "whole"), "gpu.intel.com/i915", nil,
		},
		"intel, the other driver": {`{gpu.intel.com/xe: 2}`, `{}`, `{gpu.intel.com/xe: 1}`, says("intel", "3", "whole"), "gpu.intel.com/xe", nil},
		"mig": {
			`{nvidia.com/mig-1g.10gb: 2}`, `{nvidia.com/mig-1g.10gb: 1}`, `{nvidia.com/mig-2g.20gb: 1}`,
			says("nvidia", "3", "mig-1g.10gb,mig-2g.20gb"), "nvidia.com/gpu", nil,
		},
		"none of each":      {`{nvidia.com/gpu: 0}`, `{amd.com/gpu: 0}`, `{gpu.intel.com/i915: 0}`, nil, "", nil},
		"a sum beyond":      {`{amd.com/gpu: 9223372036854775807}`, `{}`, `{amd.com/gpu: 9223372036854775807}`, says("amd", "9223372036854775807", "whole"), "amd.com/gpu", nil},
		"a part of one":     {`{nvidia.com/gpu: 500m}`, `{}`, `{}`, nil, "", apierrors.IsInvalid},
		"less than none":    {`{nvidia.com/gpu: -1}`, `{}`, `{}`, nil, "", apierrors.IsInvalid},
		"no number":         {`{nvidia.com/gpu: many}`, `{}`, `{}`, nil, "", apierrors.IsBadRequest},
		"none in a sidecar": {`{nvidia.com/mig-1g.10gb: 1}`, `{}`, `{nvidia.com/gpu: 0}`, says("nvidia", "1", "mig-1g.10gb"), "nvidia.com/gpu", nil},
	} {
		t.Run(name, func(t *testing.T) {
			container := func(name, rest, limits string) string {
				return "{name: " + name + ", image: pause, " + rest + "resources: {limits: " + limits + "}}"
			}
			pod := &unstructured.Unstructured{}
			body := `{apiVersion: v1, kind: Pod, metadata: {namespace: vendors, generateName: p-}, spec: {schedulerName: nobody, containers: [` +
				container("main", "", c.main) + `], initContainers: [` + container("sidecar", "restartPolicy: Always, ", c.sidecar) + `, ` + container("init", "", c.init) + `]}}`
			if err := yaml.Unmarshal([]byte(body), &pod.Object); err != nil {
				t.Fatal(err)
			}
			err := e.Client.Create(t.Context(), pod)
			if c.refused != nil {
				if !c.refused(err) || strings.Contains(err.Error(), "webhook") {
					t.Errorf("got %v, want the API server's own refusal", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, pod.GetAnnotations()); diff != "" {
				t.Errorf("annotations:\n%s", diff)
			}
			if got := webhookTolerates(t, pod); got != c.taint {
				t.Errorf("tolerates %q, want %q", got, c.taint)
			}
		})
	}
}

// webhookTolerates are the taints of GPUs that a pod tolerates. The API server adds its own
// tolerations, and those of extended resources only where its plugin for them is on.
func webhookTolerates(t *testing.T, pod *unstructured.Unstructured) string {
	t.Helper()
	list, _, err := unstructured.NestedSlice(pod.Object, "spec", "tolerations")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, entry := range list {
		toleration := entry.(map[string]any)
		if key := toleration["key"].(string); toleration["effect"] == string(corev1.TaintEffectNoSchedule) && toleration["operator"] == string(corev1.TolerationOpExists) {
			out = append(out, key)
		}
	}
	return strings.Join(out, " ")
}
