package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/intake"
	"forewarm.dev/test/cluster"
)

// loopSecret is what calls to the reserver are signed with.
const loopSecret = "a secret of the tests, of more than 32 characters"

// call declares demand to the reserver by a call that is signed with a secret at a time.
func (e *loopEnv) call(t *testing.T, secret, timestamp, body string) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+e.processes["reserver"].calls+intake.Path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(intake.HeaderTimestamp, timestamp)
	request.Header.Set(intake.HeaderSignature, intake.Sign([]byte(secret), timestamp, []byte(body)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(bytes.TrimSpace(answer))
}

// capacityCalls: a signed call declares demand of tomorrow, once, and as the API server lets it.
func capacityCalls(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.grant(t, "calls.yaml", authorizationv1.ResourceAttributes{Verb: "create", Group: v1alpha1.GroupVersion.Group, Resource: "demandevents"})
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	call := func(secret, body string) (code int, text string) {
		t.Helper()
		return e.call(t, secret, timestamp, body)
	}
	body := fmt.Sprintf(`{"pool": %q, "start": %q, "duration": "1h", "percent": 300}`, loopName, tomorrow)
	code, text := call(loopSecret, body)
	var made struct{ Name string }
	if err := json.Unmarshal([]byte(text), &made); err != nil || code != http.StatusCreated {
		t.Fatalf("%d %s, %v", code, text, err)
	}
	event := &v1alpha1.DemandEvent{}
	if err := e.Client.Get(ctx, client.ObjectKey{Name: made.Name}, event); err != nil || event.Spec.Pool != loopName || event.Labels[v1alpha1.LabelCalled] != "true" {
		t.Errorf("%+v, %v", event, err)
	}
	for says, c := range map[string]struct {
		secret, body string
		code         int
	}{
		"made of this very call already":   {loopSecret, body, http.StatusConflict},
		"HMAC-SHA256":                      {"another " + loopSecret, body, http.StatusUnauthorized},
		"write one of percent, demand and": {loopSecret, strings.Replace(body, `"percent"`, `"chunk": "single", "demand": 8, "percent"`, 1), http.StatusUnprocessableEntity},
		"no WarmPool":                      {loopSecret, strings.Replace(body, loopName, "nosuch", 1), http.StatusUnprocessableEntity},
	} {
		if code, text := call(c.secret, c.body); code != c.code || !strings.Contains(text, says) {
			t.Errorf("%d %s, want %d and %q", code, text, c.code, says)
		}
	}
	reserver := e.as(t, v1alpha1.SystemNamespace, "forewarm-reserver")
	launch := &v1alpha1.DemandEvent{ObjectMeta: metav1.ObjectMeta{Name: "launch"}}
	cluster.Eventually(t, loopWait, func() error { // once the policy is in force
		if err := reserver.Delete(ctx, launch, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "DemandEvents of calls") {
			return fmt.Errorf("the reserver deletes somebody's DemandEvent: %w", err)
		}
		return nil
	})
	if err := reserver.Delete(ctx, event); err != nil {
		t.Errorf("the reserver deletes its own: %v", err)
	}
}
