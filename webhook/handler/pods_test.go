package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// podWorld has a pool for GPU pods of Namespace team.
func podWorld(t testing.TB) *world {
	t.Helper()
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	pool.Spec.Demand.Resource = "nvidia.com/gpu"
	pool.Spec.Demand.NamespaceSelector = metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "team"}}
	pool.Spec.Nodes.Tolerations = []corev1.Toleration{{Key: "pool", Value: "a100", Effect: corev1.TaintEffectNoSchedule}}
	pool.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "a100"}
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "pair", Requests: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("2")}, IdleCostPerHour: "1"}}
	pool.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "pair", Reserved: 1}}
	broken := pool.DeepCopy()
	broken.Name = "broken"
	broken.Spec.Priority = 100
	broken.Spec.Demand.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}
	namespace := metadataOf("v1", "Namespace", "team", "1", nil)
	namespace.Labels = map[string]string{corev1.LabelMetadataName: "team"}
	return newWorld(t, []client.Object{namespace, pool, broken})
}

func podReview(pod []byte) string {
	return review(fmt.Sprintf(`{"uid":"r1","kind":{"version":"v1","kind":"Pod"},"resource":{"version":"v1","resource":"pods"},"namespace":"team","operation":"CREATE","object":%s}`, pod))
}

// mutate reviews a pod and applies the patch.
func mutate(t *testing.T, w *world, pod []byte) []byte {
	t.Helper()
	response := post(w.pods, podReview(pod))
	if response.Code == http.StatusBadRequest { // no pod at all
		return pod
	}
	return patched(t, answer(t, response), pod)
}

// patched is an object after the response to its review.
func patched(t *testing.T, got *admissionv1.AdmissionResponse, object []byte) []byte {
	t.Helper()
	if !got.Allowed || got.UID != "r1" {
		t.Fatalf("got %+v, want it allowed, with the request's UID", got)
	}
	if len(got.Patch) == 0 {
		return object
	}
	patch, err := jsonpatch.DecodePatch(got.Patch)
	if err != nil {
		t.Fatalf("patch %s: %v", got.Patch, err)
	}
	out, err := patch.Apply(object)
	if err != nil {
		t.Fatalf("patch %s does not apply to %s: %v", got.Patch, object, err)
	}
	return out
}

func TestPodIsPatched(t *testing.T) {
	const pod = `{"metadata":{"generateName":"train-"},"spec":{"containers":[{"name":"c","resources":{"requests":{"nvidia.com/gpu":"2"}}}]}}`
	var got corev1.Pod
	if err := json.Unmarshal(mutate(t, podWorld(t), []byte(pod)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{v1alpha1.AnnotationGPUVendor: "nvidia", v1alpha1.AnnotationGPUCount: "2", v1alpha1.AnnotationGPUShape: "whole", v1alpha1.AnnotationPool: "a100"}
	if diff := cmp.Diff(want, got.Annotations); diff != "" {
		t.Errorf("annotations:\n%s", diff)
	}
	wantTolerations := []corev1.Toleration{
		{Key: "nvidia.com/gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: "pool", Value: "a100", Effect: corev1.TaintEffectNoSchedule},
	}
	if diff := cmp.Diff(wantTolerations, got.Spec.Tolerations); diff != "" {
		t.Errorf("tolerations:\n%s", diff)
	}
	if a := got.Spec.Affinity; a == nil || a.NodeAffinity == nil || len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		t.Errorf("affinity %v, want a preference for the pool that stands ready", a)
	}
}

// TestPodClaims: what a pod claims by DRA is looked up, and where that fails, failurePolicy
// decides.
func TestPodClaims(t *testing.T) {
	const pod = `{"metadata":{},"spec":{"containers":[{"name":"c"}],"resourceClaims":[{"name":"gpu","resourceClaimTemplateName":"two"}]}}`
	w := podWorld(t)
	review := func(claims Claims) *httptest.ResponseRecorder {
		o := w.options
		o.Claims, o.Registerer = claims, prometheus.NewRegistry()
		return post(New(o).Pods, podReview([]byte(pod)))
	}
	two := webhook.Claims{{Source: webhook.FromTemplate, Name: "two"}: {{Vendor: "amd", Taint: "amd.com/gpu", Shape: "mi300", Count: 2}}}
	var got corev1.Pod
	if err := json.Unmarshal(patched(t, answer(t, review(claimsOf{Claims: two})), []byte(pod)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{v1alpha1.AnnotationGPUVendor: "amd", v1alpha1.AnnotationGPUCount: "2", v1alpha1.AnnotationGPUShape: "mi300"}
	if diff := cmp.Diff(want, got.Annotations); diff != "" {
		t.Errorf("annotations:\n%s", diff)
	}
	if failed := review(claimsOf{err: errors.New("no answer")}); failed.Code != http.StatusInternalServerError {
		t.Errorf("HTTP %d, want an error of ours", failed.Code)
	}
}

// FuzzPod: whatever the pod, it is admitted, the patch applies, and a second review of the
// result changes nothing.
func FuzzPod(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"generateName":"train-"},"spec":{"containers":[{"name":"c","resources":{"requests":{"nvidia.com/gpu":"2"}}}]}}`,
		`{"metadata":{"annotations":{}},"spec":{"tolerations":[],"containers":[{"resources":{"requests":{"amd.com/gpu":"1","gpu.intel.com/xe":"3"}}}]}}`,
		`{"metadata":{"annotations":null},"spec":{"tolerations":null,"initContainers":[{"restartPolicy":"Always","resources":{"requests":{"nvidia.com/mig-1g.5gb":"1"}}}]}}`,
		`{"metadata":{},"spec":{"affinity":{"podAffinity":{}},"containers":[{"resources":{"requests":{"nvidia.com/gpu":"9E","deviceclass.resource.kubernetes.io/c":"9E"}}}],"resourceClaims":[{"name":"a","resourceClaimName":""},{}]}}`,
		`{"metadata":{"annotations":{"forewarm.dev/pool":"none","forewarm.dev/gpu-count":"9"}},"spec":{"tolerations":[{"operator":"Exists"}],"containers":[{"resources":{"requests":{"nvidia.com/gpu":"1"}}}]}}`,
		`{"metadata":{},"spec":{"tolerations":[{"key":"pool","value":"a100"}],"containers":[{"resources":{"requests":{"nvidia.com/gpu":"-1"}}}]}}`,
		`{"metadata":{},"spec":{"containers":[null,{"name":"c"}],"resourceClaims":[{"name":"a","resourceClaimTemplateName":"two"}]}}`,
		`{"metadata":{},"spec":{"containers":[{"name":"c","resources":{"claims":[{"name":"a"}],"limits":null}}],"resourceClaims":[{"name":"a","resourceClaimTemplateName":"two"}]}}`,
		`{"metadata":{},"spec":{"containers":[{"name":"c","resources":{"requests":{},"limits":{"cpu":"1"}}}],"resourceClaims":[{"name":"a","resourceClaimTemplateName":"two"}]}}`,
		`{"spec":{"containers":[{"resources":{"requests":{"nvidia.com/gpu":"1"}}}]}}`, `{"metadata":null,"spec":null}`, `{}`, `null`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	w := podWorld(f)
	o := w.options
	o.MarkClaims, o.Registerer = true, prometheus.NewRegistry()
	o.Claims = claimsOf{Claims: webhook.Claims{{Source: webhook.FromTemplate, Name: "two"}: {{Vendor: "amd", Taint: "amd.com/gpu", Shape: "mi300", Count: 2}}}}
	w.pods = New(o).Pods
	f.Fuzz(func(t *testing.T, pod []byte) {
		var canonical any
		if err := json.Unmarshal(pod, &canonical); err != nil {
			t.Skip("the API server sends JSON, and no key twice")
		}
		pod, _ = json.Marshal(canonical)
		once := mutate(t, w, pod)
		twice := mutate(t, w, once)
		if string(once) != string(twice) {
			t.Errorf("a second review changed\n%s to\n%s", once, twice)
		}
	})
}

// TestPodThatStands: a pod that exists, and what belongs to it, are left alone.
func TestPodThatStands(t *testing.T) {
	const pod = `{"metadata":{},"spec":{"containers":[{"name":"c","resources":{"requests":{"nvidia.com/gpu":"2"}}}]}}`
	w, created := podWorld(t), podReview([]byte(pod))
	if got := answer(t, post(w.pods, created)); len(got.Patch) == 0 {
		t.Error("a pod that is created gets nothing")
	}
	for what, body := range map[string]string{
		"an update":            strings.Replace(created, `"CREATE"`, `"UPDATE"`, 1),
		"an ephemeral one":     strings.Replace(created, `"operation":"CREATE"`, `"operation":"UPDATE","subResource":"ephemeralcontainers"`, 1),
		"a binding on create":  strings.Replace(created, `"operation":"CREATE"`, `"operation":"CREATE","subResource":"binding"`, 1),
		"the mirror of a file": strings.Replace(created, `"metadata":{}`, `"metadata":{"annotations":{"kubernetes.io/config.mirror":"x","kubernetes.io/config.source":"file"}}`, 1),
	} {
		if got := answer(t, post(w.pods, body)); !got.Allowed || len(got.Patch) > 0 {
			t.Errorf("%s: %+v, want it allowed as it is", what, got)
		}
	}
}
