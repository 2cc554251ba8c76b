package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/sources"
)

// world is what the handlers read from: a cache and an API server.
type world struct {
	live     *metadatafake.FakeMetadataClient
	access   *kubefake.Clientset
	lastGood *sources.LastGood
	registry *prometheus.Registry
	ceilings http.Handler
	clamps   http.Handler
	pods     http.Handler
	options  Options
}

// installed is a cache that has every kind.
type installed struct {
	cache.Cache
	reader client.Reader
}

func (i installed) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return &controllertest.FakeInformer{}, nil
}

func (i installed) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	return i.reader.Get(ctx, key, o, options...)
}

func (i installed) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return i.reader.List(ctx, list, options...)
}

// claimsOf are claims that every Namespace has; the error is of a look at them.
type claimsOf struct {
	webhook.Claims
	err error
}

func (c claimsOf) Of(context.Context, string, []webhook.ClaimRef) (webhook.Claims, error) {
	return c.Claims, c.err
}

// metadataOf makes the metadata of an object; key is namespace/name or name.
func metadataOf(apiVersion, kind, key, version string, annotations map[string]string) *metav1.PartialObjectMetadata {
	namespace, name, found := strings.Cut(key, "/")
	if !found {
		namespace, name = "", key
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "u-1", ResourceVersion: version, Annotations: annotations},
	}
}

func ceilingOf(value string) map[string]string {
	return map[string]string{webhook.MaxReplicas: value}
}

func newWorld(t testing.TB, cached []client.Object, live ...runtime.Object) *world {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	for _, err := range []error{metav1.AddMetaToScheme(scheme), v1alpha1.AddToScheme(scheme)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(cached...).Build()
	w := &world{live: metadatafake.NewSimpleMetadataClient(scheme, live...), lastGood: sources.NewLastGood(), registry: prometheus.NewRegistry()}
	pools := sources.NewPools(installed{reader: reader}, sources.NewLastGood(), logr.Discard())
	if err := pools.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := webhook.Kinds()
	w.access = kubefake.NewClientset()
	w.access.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		sar := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		asked := sar.Spec.ResourceAttributes
		sar.Status.Allowed = sar.Spec.User == "admin" || (sar.Spec.User == "setter" && asked.Verb == "set") ||
			sar.Spec.User == operator && asked.Verb == "update" && asked.Resource == "deployments" && asked.Subresource == "finalizers" && asked.Name == "web"
		return true, sar, nil
	})
	w.options = Options{
		Access:     sources.NewAccess(w.access.AuthorizationV1()),
		Namespaces: sources.NewNamespaces(reader, w.live, w.lastGood), Parents: sources.NewParents(reader, w.live, meta.NewDefaultRESTMapper(nil)),
		Owners: sources.NewOwners(dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), owners()...), table, logr.Discard()), LastGood: w.lastGood, Pools: pools, Kinds: table,
		Autoscalers: []string{"hpa", "system:hpa"},
		Registerer:  w.registry, Log: logr.Discard(), Clock: testingclock.NewFakePassiveClock(time.Unix(0, 0)),
	}
	h := New(w.options)
	w.ceilings, w.clamps, w.pods = h.Ceilings, h.Clamps, h.Pods
	return w
}

// Users: a controller of the system, and one of the namespace itself that is known as such.
const (
	deployer = "system:serviceaccount:kube-system:deployment-controller"
	operator = "system:serviceaccount:team:operator"
)

// owners are the controllers that the API server of every world has: a Deployment that asks
// for 40 and surges by 10, a ScaledObject, a DeploymentConfig that asks for 8, and a LeaderWorkerSet of 2 groups
// of 8.
func owners() []runtime.Object {
	scaled := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": map[string]any{"namespace": "team", "name": "web", "uid": "u-1"},
	}}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"namespace": "team", "name": "web", "uid": "u-1"},
		"spec": map[string]any{"replicas": int64(40), "strategy": map[string]any{"rollingUpdate": map[string]any{"maxSurge": int64(10)}}},
	}}
	config := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig", "metadata": map[string]any{"namespace": "team", "name": "web", "uid": "u-1"},
		"spec": map[string]any{"replicas": int64(8)},
	}}
	set := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": map[string]any{"namespace": "team", "name": "web", "uid": "u-1"},
		"spec": map[string]any{"replicas": int64(2), "leaderWorkerTemplate": map[string]any{"size": int64(8)}},
	}}
	return []runtime.Object{o, scaled, config, set}
}

// team are the Namespaces that every world has in its cache.
func team(annotations map[string]string) []client.Object {
	return []client.Object{
		metadataOf("v1", "Namespace", "team", "1", annotations), metadataOf("v1", "Namespace", "kube-system", "1", nil),
	}
}

func review(request string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":` + request + `}`
}

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func answer(t testing.TB, w *httptest.ResponseRecorder) *admissionv1.AdmissionResponse {
	t.Helper()
	var out admissionv1.AdmissionReview
	if w.Code != http.StatusOK {
		t.Fatalf("HTTP %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Response == nil || out.Kind != "AdmissionReview" {
		t.Fatalf("answer %s: %v", w.Body, err)
	}
	return out.Response
}

// scaleReview is a scale as the API server sends it: to zero the spec is empty.
func scaleReview(group, resource, version string, from, to int) string {
	spec := func(n int) string {
		if n == 0 {
			return "{}"
		}
		return fmt.Sprintf(`{"replicas":%d}`, n)
	}
	scale := func(n int) string {
		return fmt.Sprintf(`{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"web","namespace":"team","uid":"u-1","resourceVersion":%q},"spec":%s}`, version, spec(n))
	}
	return review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"autoscaling","version":"v1","kind":"Scale"},"resource":{"group":%q,"version":"v1","resource":%q},
		"subResource":"scale","namespace":"team","name":"web","operation":"UPDATE","object":%s,"oldObject":%s}`, group, resource, scale(to), scale(from)))
}

func deploymentReview(operation, object, old string) string {
	if old != "" {
		old = `,"oldObject":` + old
	}
	return review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"apps","version":"v1","kind":"Deployment"},"resource":{"group":"apps","version":"v1","resource":"deployments"},
		"namespace":"team","name":"web","operation":%q,"object":%s%s}`, operation, object, old))
}

func TestScale(t *testing.T) {
	old := metadataOf("apps/v1", "Deployment", "team/web", "7", ceilingOf("5"))
	newer := metadataOf("apps/v1", "Deployment", "team/web", "8", ceilingOf("3"))
	rollout := metadataOf("argoproj.io/v1", "rollouts", "team/web", "7", ceilingOf("5"))
	cases := map[string]struct {
		body        string
		wantAllowed bool
		wantSays    string
		wantLive    int
	}{
		"cache is exact, within":   {scaleReview("apps", "deployments", "7", 1, 5), true, "", 0},
		"cache is exact, above":    {scaleReview("apps", "deployments", "7", 1, 6), false, "Deployment team/web: 6 replicas asked for, at most 5", 0},
		"cache is behind":          {scaleReview("apps", "deployments", "8", 1, 4), false, "at most 3", 1},
		"to zero reads nothing":    {scaleReview("apps", "deployments", "8", 9, 0), true, "", 0},
		"from zero":                {scaleReview("apps", "deployments", "7", 0, 6), false, "at most 5", 0},
		"down reads nothing":       {scaleReview("apps", "deployments", "8", 9, 8), true, "", 0},
		"parent of a foreign kind": {scaleReview("argoproj.io", "rollouts", "7", 1, 6), false, "Rollout team/web: 6 replicas", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(team(nil), old), newer)
			if err := w.live.Tracker().Create(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1", Resource: "rollouts"}, rollout, "team"); err != nil {
				t.Fatal(err)
			}
			got := answer(t, post(w.ceilings, c.body))
			if got.Allowed != c.wantAllowed || got.UID != "r1" {
				t.Errorf("got %+v, want allowed %t and the request's UID", got, c.wantAllowed)
			}
			if !got.Allowed && (got.Result.Code != 403 || got.Result.Reason != metav1.StatusReasonForbidden || !strings.Contains(got.Result.Message, c.wantSays)) {
				t.Errorf("got %+v, want 403 saying %q", got.Result, c.wantSays)
			}
			if live := len(w.live.Actions()); live != c.wantLive {
				t.Errorf("%d live reads, want %d: %v", live, c.wantLive, w.live.Actions())
			}
		})
	}
}

func TestScaleOfUnreadableParent(t *testing.T) {
	w := newWorld(t, team(ceilingOf("4")))
	w.live.PrependReactor("get", "rollouts", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "rollouts"}, "web", errors.New("no"))
	})
	got := answer(t, post(w.ceilings, scaleReview("argoproj.io", "rollouts", "7", 1, 3)))
	if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "forewarm-webhook-parents") {
		t.Errorf("within the Namespace's ceiling: got %+v, want allowed with what to grant", got)
	}
	if got := answer(t, post(w.ceilings, scaleReview("argoproj.io", "rollouts", "7", 1, 5))); got.Allowed {
		t.Error("above the Namespace's ceiling: allowed")
	}
}

func TestWorkload(t *testing.T) {
	const plain = `{"metadata":{"name":"web"},"spec":{"replicas":%d}}`
	owned := func(replicas int, kind, uid string) string {
		return review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"apps","version":"v1","kind":"ReplicaSet"},"resource":{"group":"apps","version":"v1","resource":"replicasets"},"namespace":"team","name":"web-1",
		"operation":"CREATE","object":{"metadata":{"annotations":{"forewarm.dev/max-replicas":"lots"},"ownerReferences":[{"apiVersion":"apps/v1","kind":%q,"name":"web","uid":%q,"controller":true}]},"spec":{"replicas":%d}}}`, kind, uid, replicas))
	}
	cases := map[string]struct {
		body string
		want bool
	}{
		"create above the Namespace's":      {deploymentReview("CREATE", fmt.Sprintf(plain, 5), ""), false},
		"create within":                     {deploymentReview("CREATE", fmt.Sprintf(plain, 4), ""), true},
		"absent replicas are one":           {deploymentReview("CREATE", `{"spec":{}}`, ""), true},
		"names are case-sensitive":          {deploymentReview("CREATE", `{"spec":{"replicas":5,"Replicas":1}}`, ""), false},
		"update above":                      {deploymentReview("UPDATE", fmt.Sprintf(plain, 5), fmt.Sprintf(plain, 4)), false},
		"grandfathered":                     {deploymentReview("UPDATE", fmt.Sprintf(plain, 9), fmt.Sprintf(plain, 9)), true},
		"owned, also with a copied mistake": {by(deployer, owned(50, "Deployment", "u-1")), true},
		"owned, above what the owner gives": {by(deployer, owned(51, "Deployment", "u-1")), false},
		"said to be owned by another":       {by(deployer, owned(5, "Deployment", "u-2")), false},
		"said to be owned by what is none":  {by(deployer, owned(5, "ConfigMap", "u-1")), false},
		"owned, says a person":              {by("jane", owned(5, "Deployment", "u-1")), false},
		"owned, says a pod beside it":       {by("system:serviceaccount:team:default", owned(5, "Deployment", "u-1")), false},
		"owned, says a pod elsewhere":       {by("system:serviceaccount:mine:default", owned(5, "Deployment", "u-1")), false},
		"owned, says an operator beside it": {by(operator, owned(5, "Deployment", "u-1")), true},
		"an owned Deployment is held":       {deploymentReview("CREATE", `{"metadata":{"ownerReferences":[{"controller":true}]},"spec":{"replicas":5}}`, ""), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := answer(t, post(newWorld(t, team(ceilingOf("4"))).ceilings, c.body)); got.Allowed != c.want {
				t.Errorf("got %+v, want allowed %t", got, c.want)
			}
		})
	}
}

func TestNamespaceThatTheCacheHasNotSeen(t *testing.T) {
	w := newWorld(t, nil, metadataOf("v1", "Namespace", "team", "1", ceilingOf("4")), metadataOf("v1", "Namespace", "kube-system", "1", nil))
	if got := answer(t, post(w.ceilings, deploymentReview("CREATE", `{"spec":{"replicas":5}}`, ""))); got.Allowed {
		t.Error("allowed, want the ceiling read live")
	}
}

func TestLastGood(t *testing.T) {
	w := newWorld(t, team(ceilingOf("lots")))
	grow := deploymentReview("CREATE", `{"spec":{"replicas":5}}`, "")
	if got := answer(t, post(w.ceilings, grow)); !got.Allowed || len(got.Warnings) != 1 {
		t.Errorf("nothing known: got %+v, want allowed with a warning", got)
	}
	feed := w.lastGood.Handler()
	feed.OnAdd(metadataOf("v1", "Namespace", "team", "1", ceilingOf("4")), true)
	feed.OnUpdate(nil, metadataOf("v1", "Namespace", "team", "2", ceilingOf("lots")))
	if got := answer(t, post(w.ceilings, grow)); got.Allowed || len(got.Warnings) != 1 {
		t.Errorf("4 known: got %+v, want denied with a warning", got)
	}
	feed.OnDelete(metadataOf("v1", "Namespace", "team", "2", ceilingOf("lots")))
	if got := answer(t, post(w.ceilings, grow)); !got.Allowed {
		t.Errorf("forgotten with the Namespace: got %+v, want allowed", got)
	}
}

func TestHTTP(t *testing.T) {
	w := newWorld(t, team(nil))
	request := func(method, contentType, body string) *http.Request {
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return r
	}
	cases := map[string]struct {
		request *http.Request
		want    int
	}{
		"GET":               {request(http.MethodGet, "application/json", ""), http.StatusMethodNotAllowed},
		"no JSON":           {request(http.MethodPost, "text/plain", "{}"), http.StatusUnsupportedMediaType},
		"too large":         {request(http.MethodPost, "application/json", `"`+strings.Repeat("a", maxBody)), http.StatusRequestEntityTooLarge},
		"broken":            {request(http.MethodPost, "application/json", "{"), http.StatusBadRequest},
		"another version":   {request(http.MethodPost, "application/json", `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}`), http.StatusBadRequest},
		"no request":        {request(http.MethodPost, "application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`), http.StatusBadRequest},
		"broken object":     {request(http.MethodPost, "application/json", deploymentReview("CREATE", `{"spec":{"replicas":"many"}}`, "")), http.StatusBadRequest},
		"unreadable parent": {request(http.MethodPost, "application/json; charset=utf-8", scaleReview("apps", "deployments", "7", 1, 5)), http.StatusInternalServerError},
		"fine":              {request(http.MethodPost, "application/json", deploymentReview("CREATE", `{}`, "")), http.StatusOK},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := httptest.NewRecorder()
			w.ceilings.ServeHTTP(got, c.request)
			if got.Code != c.want {
				t.Errorf("HTTP %d (%s), want %d", got.Code, got.Body, c.want)
			}
		})
	}
	const want = `
# HELP forewarm_webhook_decisions_total Admission reviews by verdict and reason.
# TYPE forewarm_webhook_decisions_total counter
forewarm_webhook_decisions_total{reason="BadRequest",verdict="Error"} 6
forewarm_webhook_decisions_total{reason="InternalError",verdict="Error"} 1
forewarm_webhook_decisions_total{reason="NoCeiling",verdict="Allow"} 1
forewarm_webhook_decisions_total{reason="Overloaded",verdict="Error"} 0
forewarm_webhook_decisions_total{reason="Panic",verdict="Error"} 0
forewarm_webhook_decisions_total{reason="TooLarge",verdict="Error"} 1
`
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "forewarm_webhook_decisions_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(w.registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
}

// TestPanic: anything but HTTP 200 leaves the verdict to failurePolicy.
func TestPanic(t *testing.T) {
	s := newWorld(t, team(nil)).ceilings.(server)
	s.convert = nil
	if got := post(s, deploymentReview("CREATE", `{}`, "")); got.Code != http.StatusInternalServerError {
		t.Errorf("HTTP %d, want 500", got.Code)
	}
}

func TestOverload(t *testing.T) {
	s := newWorld(t, team(nil)).ceilings.(server)
	for range maxInFlight {
		s.slots <- struct{}{}
	}
	if got := post(s, deploymentReview("CREATE", `{}`, "")); got.Code != http.StatusServiceUnavailable {
		t.Errorf("HTTP %d, want 503", got.Code)
	}
	<-s.slots
	if got := post(s, deploymentReview("CREATE", `{}`, "")); got.Code != http.StatusOK {
		t.Errorf("HTTP %d after a slot was freed, want 200", got.Code)
	}
}

// TestLargeBodiesWait: a fifth large review is turned away after a while, a small one is not.
func TestLargeBodiesWait(t *testing.T) {
	s := newWorld(t, team(nil)).ceilings.(server)
	large := deploymentReview("CREATE", `{}`, "") + strings.Repeat(" ", usualBody)
	synctest.Test(t, func(t *testing.T) {
		s.large, s.slots = make(chan struct{}, maxLarge), make(chan struct{}, maxInFlight)
		for range maxLarge {
			s.large <- struct{}{}
		}
		began := time.Now()
		if got := post(s, large); got.Code != http.StatusServiceUnavailable || time.Since(began) != deadline {
			t.Errorf("HTTP %d after %s, want 503 after %s", got.Code, time.Since(began), deadline)
		}
		if got := post(s, deploymentReview("CREATE", `{}`, "")); got.Code != http.StatusOK {
			t.Errorf("a small one: HTTP %d", got.Code)
		}
		<-s.large
		if got := post(s, large); got.Code != http.StatusOK {
			t.Errorf("when one has left: HTTP %d", got.Code)
		}
		if len(s.large) != maxLarge-1 || len(s.slots) != 0 {
			t.Errorf("%d large and %d slots are taken", len(s.large), len(s.slots))
		}
	})
}

// TestNames holds the core's constants to the API's, which the core may not import.
func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		webhook.MaxReplicas: v1alpha1.AnnotationMaxReplicas, webhook.PoolName: v1alpha1.AnnotationPool,
		webhook.GPUVendor: v1alpha1.AnnotationGPUVendor, webhook.GPUCount: v1alpha1.AnnotationGPUCount,
		string(webhook.Managed):      v1alpha1.ResourceManaged,
		webhook.PlaceholderNamespace: v1alpha1.PlaceholderNamespace, webhook.PlaceholderPriorityClass: v1alpha1.PlaceholderPriorityClass,
	} {
		if got != want {
			t.Errorf("core says %s, the API %s", got, want)
		}
	}
}

// TestOtherKinds: counts, targets and modes of kinds beyond the plain ones.
func TestOtherKinds(t *testing.T) {
	of := func(group, version, resource, object, old string) string {
		operation := "CREATE"
		if old != "" {
			operation, old = "UPDATE", `,"oldObject":`+old
		}
		namespace := `"namespace":"team",`
		if resource == "nodepools" {
			namespace = ""
		}
		return review(fmt.Sprintf(`{"uid":"r1","userInfo":{"username":"admin"},"kind":{"group":%q,"version":%q,"kind":"X"},"resource":{"group":%q,"version":%q,"resource":%q},%s"name":"x","operation":%q,"object":%s%s}`,
			group, version, group, version, resource, namespace, operation, object, old))
	}
	hpa := `{"spec":{"maxReplicas":%d,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":%q}}}`
	pool := `{"metadata":{"annotations":{"forewarm.dev/max-nodes":"3","forewarm.dev/ceiling-mode":%q}},"spec":{"limits":{"nodes":"%d"}}}`
	cases := map[string]struct {
		body        string
		wantAllowed bool
		wantSays    string
	}{
		"a JobSet's sum": {
			of("jobset.x-k8s.io", "v1alpha2", "jobsets", `{"spec":{"replicatedJobs":[{"replicas":2,"template":{"spec":{"parallelism":2}}},{}]}}`, ""), false,
			"JobSet team/x: 5 replicas asked for by spec.replicatedJobs, at most 4",
		},
		"an HPA's target has its own":         {of("autoscaling", "v2", "horizontalpodautoscalers", fmt.Sprintf(hpa, 4, "api"), ""), false, "at most 3 allowed by annotation forewarm.dev/max-replicas=\"3\" on Deployment team/api"},
		"an HPA within":                       {of("autoscaling", "v2", "horizontalpodautoscalers", fmt.Sprintf(hpa, 3, "api"), ""), true, ""},
		"an HPA's target is still to be made": {of("autoscaling", "v2", "horizontalpodautoscalers", fmt.Sprintf(hpa, 4, "none"), ""), true, ""},
		"a CronJob is warned":                 {of("batch", "v1", "cronjobs", `{"spec":{"jobTemplate":{"spec":{"parallelism":9,"completions":9}}}}`, ""), true, ""},
		"a suspended Job asks for nothing":    {of("batch", "v1", "jobs", `{"spec":{"parallelism":9,"completions":9,"suspend":true}}`, ""), true, ""},
		"a resumed Job": {
			of("batch", "v1", "jobs", `{"spec":{"parallelism":9,"completions":9,"suspend":false}}`, `{"spec":{"parallelism":9,"completions":9,"suspend":true}}`), false, "9 replicas asked for by spec.parallelism",
		},
		"a NodePool":                   {of("karpenter.sh", "v1", "nodepools", fmt.Sprintf(pool, "enforce", 4), ""), false, "NodePool x: 4 nodes asked for by spec.limits.nodes, at most 3"},
		"a NodePool that is audited":   {of("karpenter.sh", "v1", "nodepools", fmt.Sprintf(pool, "audit", 4), ""), true, ""},
		"audited from this write on":   {of("karpenter.sh", "v1", "nodepools", fmt.Sprintf(pool, "audit", 4), fmt.Sprintf(pool, "enforce", 3)), false, "at most 3"},
		"a mode that cannot be read":   {of("karpenter.sh", "v1", "nodepools", fmt.Sprintf(pool, "off", 3), ""), false, `"off" is none of enforce, warn, audit`},
		"grandfathered in one, not in": {of("cluster.x-k8s.io", "v1beta1", "machinedeployments", machines(8), machines(3)), false, "8 nodes asked for, at most 5"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, team(ceilingOf("4")), metadataOf("apps/v1", "Deployment", "team/api", "7", ceilingOf("3")))
			got := answer(t, post(w.ceilings, c.body))
			if got.Allowed != c.wantAllowed || (!got.Allowed && !strings.Contains(got.Result.Message, c.wantSays)) {
				t.Errorf("got %+v, want allowed %t, saying %q", got, c.wantAllowed, c.wantSays)
			}
		})
	}
}

// machines is a MachineDeployment whose autoscaler may go to 12, above its ceiling of 5.
func machines(replicas int) string {
	return fmt.Sprintf(`{"metadata":{"annotations":{"forewarm.dev/max-nodes":"5","cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size":"12"}},"spec":{"replicas":%d}}`, replicas)
}

// TestAccess: tightening is free, loosening and overriding need a verb.
func TestAccess(t *testing.T) {
	of := func(user, annotations, old string, replicas int) string {
		return review(fmt.Sprintf(`{"uid":"r1","userInfo":{"username":%q},"kind":{"group":"apps","version":"v1","kind":"Deployment"},"resource":{"group":"apps","version":"v1","resource":"deployments"},
			"namespace":"team","name":"web","operation":"UPDATE","object":{"metadata":{"annotations":{%s}},"spec":{"replicas":%d}},"oldObject":{"metadata":{"annotations":{%s}},"spec":{"replicas":3}}}`, user, annotations, replicas, old))
	}
	finalizers := func(user, annotations, old string) string {
		return review(fmt.Sprintf(`{"uid":"r1","userInfo":{"username":%q},"kind":{"version":"v1","kind":"Namespace"},"resource":{"version":"v1","resource":"namespaces"},"subResource":"finalize",
			"namespace":"team","name":"team","operation":"UPDATE","object":{"metadata":{"name":"team","annotations":{%s}}},"oldObject":{"metadata":{"name":"team","annotations":{%s}}}}`, user, annotations, old))
	}
	five, six := `"forewarm.dev/max-replicas":"5"`, `"forewarm.dev/max-replicas":"6"`
	loadTest := `"forewarm.dev/ceiling-override":"9 until 1970-01-02T00:00:00Z: load test"`
	ended := `"forewarm.dev/ceiling-override":"9 until 1969-12-31T00:00:00Z: load test"`
	cases := map[string]struct {
		body        string
		wantAllowed bool
		wantAsked   int
	}{
		"tightens":                        {of("tenant", five, six, 3), true, 0},
		"sets the first":                  {of("tenant", five, "", 3), true, 0},
		"raises":                          {of("tenant", six, five, 3), false, 1},
		"removes":                         {of("tenant", "", five, 3), false, 1},
		"raises and may":                  {of("setter", six, five, 3), true, 1},
		"overrides with set":              {of("setter", loadTest, "", 3), false, 1},
		"overrides and may":               {of("admin", five+","+loadTest, five, 9), true, 1},
		"raises and overrides":            {of("admin", six+","+loadTest, five, 9), true, 2},
		"beyond the override":             {of("admin", five+","+loadTest, five, 10), false, 1},
		"removes an override":             {of("tenant", five, five+","+loadTest, 3), true, 0},
		"an override that stands":         {of("tenant", five+","+loadTest, five+","+loadTest, 9), true, 0},
		"an override that ended":          {of("tenant", five+","+ended, five+","+ended, 9), false, 0},
		"raises with a finalizer":         {finalizers("tenant", six, five), false, 1},
		"tightens with a finalizer":       {finalizers("tenant", five, six), true, 0},
		"weakens the mode of a workload":  {of("tenant", `"forewarm.dev/ceiling-mode":"audit"`, "", 3), false, 1},
		"grows with somebody's exception": {of("tenant", five, five, 6), false, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, team(nil))
			if got := answer(t, post(w.ceilings, c.body)); got.Allowed != c.wantAllowed {
				t.Errorf("got %+v, want allowed %t", got, c.wantAllowed)
			}
			if asked := len(w.access.Actions()); asked != c.wantAsked {
				t.Errorf("asked %d times, want %d", asked, c.wantAsked)
			}
		})
	}
}

// TestModeOfTheNamespace: a Namespace may be warned, or audited, instead.
func TestModeOfTheNamespace(t *testing.T) {
	for mode, wantWarnings := range map[string]int{"warn": 1, "audit": 0} {
		annotations := ceilingOf("4")
		annotations[webhook.CeilingMode] = mode
		got := answer(t, post(newWorld(t, team(annotations)).ceilings, deploymentReview("CREATE", `{"spec":{"replicas":5}}`, "")))
		if !got.Allowed || len(got.Warnings) != wantWarnings || got.AuditAnnotations["reason"] != string(webhook.ReasonAboveCeiling) {
			t.Errorf("%s: got %+v, want allowed, %d warnings, and the reason in the audit log", mode, got, wantWarnings)
		}
	}
}

// BenchmarkScale is the whole of a review of the commonest kind, without the network.
func BenchmarkScale(b *testing.B) {
	w := newWorld(b, append(team(ceilingOf("9")), metadataOf("apps/v1", "Deployment", "team/web", "7", ceilingOf("5"))))
	body := []byte(scaleReview("apps", "deployments", "7", 1, 5))
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w.ceilings.ServeHTTP(httptest.NewRecorder(), r)
	}
}
