package integration

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// loopEvent is what we read of an audit event.
type loopEvent struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	RequestURI string `json:"requestURI"`
}

// what is the resource with its subresource.
func (e loopEvent) what() string {
	if e.ObjectRef.Subresource != "" {
		return e.ObjectRef.Resource + "/" + e.ObjectRef.Subresource
	}
	return e.ObjectRef.Resource
}

// events are the requests of a process of ours so far.
func (e *loopEnv) events(t *testing.T, kind string) []loopEvent {
	t.Helper()
	file, err := os.Open(e.audit)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var events []loopEvent
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event loopEvent
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue // the last line may be half written
		}
		if event.User.Username == "system:serviceaccount:"+loopNamespace(kind)+":forewarm-"+kind {
			events = append(events, event)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}

// writes are the requests of a process of ours that change something.
func (e *loopEnv) writes(t *testing.T, kind string) []loopEvent {
	t.Helper()
	return slices.DeleteFunc(e.events(t, kind), func(event loopEvent) bool {
		return slices.Contains([]string{"get", "list", "watch"}, event.Verb)
	})
}

// loopRoles reads in the audit log that nothing we asked for was forbidden, and that the
// extender only looks.
func loopRoles(t *testing.T, e *loopEnv) {
	for _, kind := range []string{"reserver", "extender", "webhook", "console"} {
		events := e.events(t, kind)
		if len(events) == 0 {
			t.Errorf("no request of %s in the audit log", kind)
		}
		for _, event := range events {
			if event.ResponseStatus.Code == 403 {
				t.Errorf("%s may not %s %s", kind, event.Verb, event.RequestURI)
			}
		}
	}
	for _, event := range e.writes(t, "extender") {
		t.Errorf("the extender asked to %s %s", event.Verb, event.RequestURI)
	}
}

// loopTouch has our accounts write more on others' pods than they must: RBAC alone would let them.
func loopTouch(t *testing.T, e *loopEnv) {
	for account, c := range map[string]struct {
		says, allowed string
	}{
		"extender": {"the extender may change the annotation forewarm.dev/requeued of a pod, and nothing else", `"forewarm.dev/requeued":"a100/1"`},
		"reserver": {"the reserver may change the annotations forewarm.dev/waiting-for, forewarm.dev/expected-start and forewarm.dev/run-class of a pod, and nothing else", `"forewarm.dev/waiting-for":"a100","forewarm.dev/run-class":"short-batch","forewarm.dev/expected-start":"2026-11-29T12:00:00Z"`},
	} {
		path, err := e.KubeconfigForServiceAccount(t.Context(), loopNamespace(account), "forewarm-"+account)
		if err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			t.Fatal(err)
		}
		writer, err := client.New(config, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pod := loopPod("web", "touched-by-"+account, 8, map[string]string{corev1.LabelHostname: "nowhere"})
		e.create(t, pod)
		if err := writer.Delete(t.Context(), pod.DeepCopy()); !apierrors.IsForbidden(err) {
			t.Errorf("%s deletes somebody's pod: %v", account, err)
		}
		// The reserver may where manifests/rbac/drainer.yaml is applied, which it is not here.
		if err := writer.SubResource("eviction").Create(t.Context(), pod.DeepCopy(), &policyv1.Eviction{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s evicts somebody's pod: %v", account, err)
		}
		for body, allowed := range map[string]bool{
			`{"metadata":{"annotations":{` + c.allowed + `}}}`:                             true,
			`{"metadata":{"annotations":{` + c.allowed + `,"forewarm.dev/gpu-shape":""}}}`: false,
			`{"metadata":{"labels":{"forewarm.dev/pool":"a100"}}}`:                         false,
			`{"metadata":{"finalizers":["test.dev/stay"]}}`:                                false,
			`{"metadata":{"annotations":{"forewarm.dev/gpu-count":"9"}}}`:                  false,
			`{"spec":{"activeDeadlineSeconds":1}}`:                                         false,
		} {
			err := writer.Patch(t.Context(), pod.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
			if allowed && err != nil || !allowed && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%s, %s: %v, allowed: %t", account, body, err, allowed)
			}
		}
	}
}
