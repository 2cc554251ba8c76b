package integration

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// loopSecrets has our processes log as much as they can, and looks for what nobody may read there:
// what is in the Secrets of their namespace, their own tokens, the token of who signs in to the console, and
// what calls to the reserver are signed with.
func loopSecrets(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	hidden := e.secrets(t)
	var logs []string
	for _, kind := range slices.Sorted(maps.Keys(e.processes)) {
		logs = append(logs, e.processes[kind].Log())
		if err := e.processes[kind].Stop(10 * time.Second); err != nil {
			t.Fatalf("%s after SIGTERM: %v", kind, err)
		}
		e.start(t, kind, kind+"-that-says-all", "--verbosity=10")
	}
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web"}}
	if err := e.Client.Get(ctx, client.ObjectKeyFromObject(web), web); err != nil {
		t.Fatal(err)
	}
	if err := webhookDenied(webhookScale(ctx, e.Client, web, 6), "at most 5"); err != nil {
		t.Error(err)
	}
	e.create(t, loopPod("ml", "last", 8, map[string]string{corev1.LabelHostname: "nowhere"}))
	maps.Copy(hidden, e.secrets(t))
	e.signIn(t)
	body := fmt.Sprintf(`{"pool": "nosuch", "start": %q, "duration": "1h", "percent": 300}`, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	for secret, want := range map[string]int{loopSecret: http.StatusUnprocessableEntity, "another " + loopSecret: http.StatusUnauthorized} {
		if code, text := e.call(t, secret, strconv.FormatInt(time.Now().Unix(), 10), body); code != want {
			t.Errorf("a signed call: %d %s, want %d", code, text, want)
		}
	}
	loopNever(t, loopWindow/2, func() error { return nil }) // some cycles of each loop
	for _, kind := range slices.Sorted(maps.Keys(e.processes)) {
		log := e.processes[kind].Log()
		if !strings.Contains(log, `"level":"DEBUG`) {
			t.Errorf("%s says no more than usual", kind)
		}
		logs = append(logs, log)
	}
	for name, value := range hidden {
		for _, log := range logs {
			if strings.Contains(log, value) || strings.Contains(log, base64.StdEncoding.EncodeToString([]byte(value))) {
				t.Errorf("a log holds %s", name)
			}
		}
	}
}

// secrets are by name what no log may hold, in parts that survive quoting.
func (e *loopEnv) secrets(t *testing.T) map[string]string {
	t.Helper()
	hidden := map[string]string{"the token of who signs in": e.person, "the secret of calls": loopSecret}
	var list corev1.SecretList
	if err := e.Client.List(t.Context(), &list, client.InNamespace(v1alpha1.SystemNamespace)); err != nil {
		t.Fatal(err)
	}
	for _, secret := range list.Items {
		for key, value := range secret.Data {
			if !strings.Contains(string(value), "PRIVATE KEY") && strings.Contains(string(value), "CERTIFICATE") {
				continue // public
			}
			lines := strings.Split(strings.TrimSpace(string(value)), "\n")
			hidden["Secret "+secret.Name+" "+key] = lines[len(lines)/2] // of a key, a line from its middle
		}
	}
	if len(hidden) == 0 {
		t.Fatal("there is no secret to look for: the webhook keeps its CA's key in one")
	}
	for kind, p := range e.processes {
		if p.token == "" {
			t.Fatalf("%s has no token", kind)
		}
		hidden["the token of "+p.Name] = p.token
	}
	return hidden
}
