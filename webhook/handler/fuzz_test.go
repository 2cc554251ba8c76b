package handler

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"

	"forewarm.dev/api/v1alpha1"
)

// fuzzWorld is a world in which every path has something to decide, but for claims on totals:
// what was let in before would decide about the next.
func fuzzWorld(f *testing.F) (*world, map[string]http.Handler) {
	f.Helper()
	pool := &v1alpha1.WarmPool{}
	pool.Name, pool.Spec.Demand.Resource = "a100", "nvidia.com/gpu"
	w := newWorld(f, append(team(ceilingOf("4")), metadataOf("apps/v1", "Deployment", "team/web", "7", ceilingOf("5")), pool))
	totals, _ := w.totals(f)
	return w, map[string]http.Handler{"/ceilings": w.ceilings, "/totals": totals, "/clamps": w.clamps, "/pods": w.pods}
}

// recordings are reviews that an API server of version 1.37 sent, as it sent them, but for the
// names of the tests in whose course it did.
func recordings(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "reviews", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded reviews: %v", err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		if out[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// FuzzReview feeds whole requests to every path. Whatever they are, nothing panics, the status
// says what happened, and an answer is about the review that was asked: its patch applies, and
// what it makes of the object is not patched again.
func FuzzReview(f *testing.F) {
	for _, body := range recordings(f) {
		f.Add(http.MethodPost, "application/json", body)
	}
	for _, body := range []string{
		scaleReview("apps", "deployments", "7", 1, 5), scaleReview("", "replicationcontrollers", "7", 0, 0), by("hpa", scaleReview("apps", "deployments", "7", 1, 9)),
		deploymentReview("CREATE", `{"spec":{"replicas":5}}`, ""), deploymentReview("UPDATE", `{"metadata":{"annotations":{"forewarm.dev/max-replicas":"lots"}}}`, `{}`),
		horizontalReview(`{"spec":{"maxReplicas":9,"scaleTargetRef":{"kind":"Deployment","apiVersion":"apps/v1","name":"none"}}}`, ""),
		horizontalReview(`{"metadata":{"annotations":null},"spec":{"maxReplicas":9,"scaleTargetRef":{"kind":"Deployment","apiVersion":"apps/v1","name":"none"}}}`, ""),
		podReview([]byte(`{"metadata":{},"spec":{}}`)), podReview([]byte(`{"metadata":{},"spec":{"containers":[{"resources":{"requests":{"nvidia.com/gpu":"2"}}}]}}`)),
		review(`{}`), review(`null`), `{}`, ``, `null`, `{"request":{"uid":"a"},"request":{"uid":"b"}}`, `{"kind":`,
	} {
		f.Add(http.MethodPost, "application/json", []byte(body))
	}
	f.Add(http.MethodGet, "application/json", []byte(`{}`))
	f.Add(http.MethodPost, "text/plain; charset=utf-8", []byte(`{}`))
	w, paths := fuzzWorld(f)
	f.Fuzz(func(t *testing.T, method, contentType string, body []byte) {
		body = canonical(body)
		w.live.ClearActions()
		w.access.ClearActions()
		for path, h := range paths {
			got := send(h, method, contentType, body)
			checkStatus(t, path, method, got)
			if got.Code != http.StatusOK {
				continue
			}
			var asked admissionv1.AdmissionReview
			if err := json.Unmarshal(body, &asked); err != nil {
				continue // no API server sends that, and what it means nobody knows
			}
			once, patched := applied(t, path, asked.Request, answerOf(t, path, got, asked.Request))
			if !patched {
				continue
			}
			asked.Request.Object.Raw = once
			again, err := json.Marshal(asked)
			if err != nil {
				t.Fatal(err)
			}
			if twice, more := applied(t, path, asked.Request, answerOf(t, path, send(h, method, contentType, again), asked.Request)); more {
				t.Errorf("%s: a second review changed\n%s to\n%s", path, once, twice)
			}
		}
	})
}

// canonical is JSON as an API server writes it: no key twice, no space. Other bytes stay as
// they are.
func canonical(body []byte) []byte {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil || decoder.More() {
		return body
	}
	out, err := json.Marshal(value)
	if err != nil {
		return body
	}
	return out
}

func send(h http.Handler, method, contentType string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Method = method
	r.Header.Set("Content-Type", contentType)
	out := httptest.NewRecorder()
	h.ServeHTTP(out, r)
	return out
}

// checkStatus holds a response to docs/reliability.md: what is no review is 4xx, what goes wrong
// inside is 500, and nothing panics.
func checkStatus(t *testing.T, path, method string, got *httptest.ResponseRecorder) {
	t.Helper()
	if post := method == http.MethodPost; post == (got.Code == http.StatusMethodNotAllowed) {
		t.Errorf("%s: %s answered HTTP %d", path, method, got.Code)
	}
	switch got.Code {
	case http.StatusOK, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
	case http.StatusInternalServerError:
		if got.Body.String() == "internal error\n" {
			t.Errorf("%s: a panic", path)
		}
	default:
		t.Errorf("%s: HTTP %d: %s", path, got.Code, got.Body)
	}
}

// answerOf checks that an answer is one, to that review.
func answerOf(t *testing.T, path string, got *httptest.ResponseRecorder, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	t.Helper()
	response := answer(t, got)
	if response.UID != request.UID {
		t.Errorf("%s: answered review %q, asked was %q", path, response.UID, request.UID)
	}
	if !response.Allowed && (response.Result == nil || response.Result.Code != http.StatusForbidden || response.Result.Message == "" || len(response.Patch) > 0) {
		t.Errorf("%s: a denial without its reason, or with a patch: %+v", path, response)
	}
	return response
}

// applied is the object of a review after the patch of its answer.
func applied(t *testing.T, path string, request *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) (object []byte, patched bool) {
	t.Helper()
	if len(response.Patch) == 0 {
		return request.Object.Raw, false
	}
	if path == "/ceilings" || path == "/totals" {
		t.Errorf("%s: a patch in the validating phase: %s", path, response.Patch)
	}
	if *response.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Errorf("%s: patch type %s", path, *response.PatchType)
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatalf("%s: patch %s: %v", path, response.Patch, err)
	}
	out, err := patch.Apply(request.Object.Raw)
	if err != nil {
		t.Fatalf("%s: patch %s does not apply to %s: %v", path, response.Patch, request.Object.Raw, err)
	}
	return out, true
}

// TestRecordedReviews: what an API server sends is never an error to any path that it is sent to.
func TestRecordedReviews(t *testing.T) {
	w := newWorld(t, append(team(ceilingOf("4")), metadataOf("apps/v1", "Deployment", "team/web", "7", ceilingOf("5"))))
	totals, _ := w.totals(t, ledgerOf("namespace.team", v1alpha1.LedgerAmounts{}), ledgerOf("cluster", v1alpha1.LedgerAmounts{}))
	paths := map[string]http.Handler{"ceilings": w.ceilings, "totals": totals, "clamps": w.clamps, "pods": w.pods}
	for name, body := range recordings(t) {
		path, _, _ := strings.Cut(name, "-")
		if got := post(paths[path], string(body)); got.Code == http.StatusBadRequest {
			t.Errorf("%s: %s", name, got.Body)
		}
	}
}
