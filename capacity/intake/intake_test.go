package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

const (
	secret = "0123456789abcdef0123456789abcdef"
	body   = `{"pool": "a100", "start": "2026-11-24T10:00:00Z", "duration": "1h", "percent": 300}`
)

type env struct {
	*testing.T
	handler *Handler
	client  client.Client
	clock   *clocktesting.FakePassiveClock
	file    string
	// fails is what the API server answers to a create; nil for that it works.
	fails error
}

func newEnv(t *testing.T, objects ...client.Object) *env {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	e := &env{T: t, clock: clocktesting.NewFakePassiveClock(start), file: filepath.Join(t.TempDir(), "secret")}
	objects = append(objects, &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}})
	e.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if e.fails != nil {
				return e.fails
			}
			return c.Create(ctx, o, options...)
		},
	}).Build()
	e.keep(secret)
	e.handler = e.replica()
	return e
}

// replica is another handler before the same API server.
func (e *env) replica() *Handler {
	return New(Options{Live: e.client, Writer: e.client, SecretFile: e.file, Registerer: prometheus.NewRegistry(), Clock: e.clock, Log: logr.Discard()})
}

func (e *env) keep(secrets string) {
	e.Helper()
	if err := os.WriteFile(e.file, []byte(secrets), 0o600); err != nil {
		e.Fatal(err)
	}
}

// call is a signed call, which edit may spoil.
func (e *env) call(body string, edit func(*http.Request)) *http.Request {
	timestamp := strconv.FormatInt(e.clock.Now().Unix(), 10)
	r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body))
	r.Header.Set(HeaderTimestamp, timestamp)
	r.Header.Set(HeaderSignature, Sign([]byte(secret), timestamp, []byte(body)))
	if edit != nil {
		edit(r)
	}
	return r
}

func answer(h *Handler, r *http.Request) (code int, text string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// expect fails unless a call is answered so.
func (e *env) expect(h *Handler, r *http.Request, code int, says string) {
	e.Helper()
	if got, text := answer(h, r); got != code || !strings.Contains(text, says) {
		e.Errorf("%d %s, want %d and %q", got, text, code, says)
	}
}

func (e *env) events() []v1alpha1.DemandEvent {
	e.Helper()
	var list v1alpha1.DemandEventList
	if err := e.client.List(context.Background(), &list); err != nil {
		e.Fatal(err)
	}
	return list.Items
}

func TestACallMakesAnEvent(t *testing.T) {
	e := newEnv(t)
	code, text := answer(e.handler, e.call(body, nil))
	events := e.events()
	if code != http.StatusCreated || len(events) != 1 {
		t.Fatalf("%d %s, %d events", code, text, len(events))
	}
	want := v1alpha1.DemandEventSpec{Pool: "a100", Start: metav1.NewTime(start.Add(time.Hour)), Duration: metav1.Duration{Duration: time.Hour}, Percent: new(int32(300))}
	if diff := cmp.Diff(want, events[0].Spec); diff != "" || events[0].Labels[v1alpha1.LabelCalled] != "true" {
		t.Errorf("labels %v (-want +got):\n%s", events[0].Labels, diff)
	}
	var told struct{ Name string }
	if err := json.Unmarshal([]byte(text), &told); err != nil || told.Name != events[0].Name {
		t.Errorf("%s tells of %q, want %q", text, told.Name, events[0].Name)
	}
}

func TestCallsThatAreRefused(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	late := strconv.FormatInt(start.Add(-window-time.Second).Unix(), 10)
	for name, c := range map[string]struct {
		body string
		edit func(*http.Request)
		code int
		says string
	}{
		"not signed": {body, header(HeaderSignature, ""), 401, "HMAC-SHA256 of TIMESTAMP.BODY"},
		"by somebody else": {body, func(r *http.Request) {
			r.Header.Set(HeaderSignature, Sign([]byte("x"+secret), r.Header.Get(HeaderTimestamp), []byte(body)))
		}, 401, HeaderSignature},
		"of another time": {body, header(HeaderTimestamp, strconv.FormatInt(start.Unix()+1, 10)), 401, HeaderSignature},
		"without a time":  {body, header(HeaderTimestamp, "soon"), 401, "write the seconds since 1970"},
		"too old": {body, func(r *http.Request) {
			r.Header.Set(HeaderTimestamp, late)
			r.Header.Set(HeaderSignature, Sign([]byte(secret), late, []byte(body)))
		}, 401, "sign again, and check the clock"},
		"of no event":        {`{"pool": "a100", "begin": "now"}`, nil, 400, `unknown field \"begin\"`},
		"of no JSON":         {"pool: a100", nil, 400, "not the spec of a DemandEvent"},
		"too large":          {strings.Repeat(" ", largest+1), nil, 413, "16384 bytes"},
		"of no pool":         {strings.Replace(body, "a100", "a200", 1), nil, 422, `no WarmPool \"a200\"`},
		"by another method":  {body, func(r *http.Request) { r.Method = http.MethodPut }, 405, "post to"},
		"to another address": {body, func(r *http.Request) { r.URL.Path = "/" }, 404, "post to"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.expect(e.handler, e.call(c.body, c.edit), c.code, c.says)
			if n := len(e.events()); n != 0 {
				t.Errorf("%d events were made", n)
			}
		})
	}
}

func TestACallIsAnsweredOnce(t *testing.T) {
	e := newEnv(t)
	first := func() *http.Request {
		return e.call(body, func(r *http.Request) {
			timestamp := strconv.FormatInt(start.Unix(), 10)
			r.Header.Set(HeaderTimestamp, timestamp)
			r.Header.Set(HeaderSignature, Sign([]byte(secret), timestamp, []byte(body)))
		})
	}
	e.expect(e.handler, first(), 201, "call-")
	e.expect(e.handler, first(), 409, "made of this very call already")
	e.expect(e.replica(), first(), 409, "made of this very call already")
	event := e.events()[0]
	if err := e.client.Delete(t.Context(), &event); err != nil {
		t.Fatal(err)
	}
	e.clock.SetTime(start.Add(window))
	e.expect(e.handler, first(), 409, "made of this very call already")
	e.expect(e.handler, e.call(body, nil), 201, "call-")
	e.clock.SetTime(start.Add(window + time.Second))
	e.expect(e.handler, first(), 401, HeaderTimestamp)
}

// TestSecretsAreReplaced: a new one counts beside the old one, and without a restart.
func TestSecretsAreReplaced(t *testing.T) {
	e := newEnv(t)
	e.keep("another-secret-of-32-characters-or-more\n" + secret + "\n\n")
	e.expect(e.handler, e.call(body, nil), 201, "call-")
	for _, content := range []string{"", "short\n"} {
		e.keep(content)
		e.expect(e.handler, e.call(body, nil), 500, "see the reserver's log")
	}
	if _, err := secretsOf([]byte("short")); err == nil || !strings.Contains(err.Error(), "openssl rand -hex 32") {
		t.Errorf("%v", err)
	}
	e.keep("another-secret-of-32-characters-or-more")
	e.expect(e.handler, e.call(body, nil), 401, HeaderSignature)
}

func TestWhatTheAPIServerSays(t *testing.T) {
	e := newEnv(t)
	kind := schema.GroupKind{Group: "forewarm.dev", Kind: "DemandEvent"}
	for code, err := range map[int]error{
		422: apierrors.NewInvalid(kind, "call-1", nil),
		500: errors.New("etcd is away"),
	} {
		e.fails = err
		e.expect(e.handler, e.call(body, nil), code, "")
	}
	e.fails = apierrors.NewForbidden(schema.GroupResource{Group: "forewarm.dev", Resource: "demandevents"}, "call-1", errors.New("not on Fridays"))
	e.expect(e.handler, e.call(body, nil), 422, "not on Fridays")
	e.fails = nil
	e.expect(e.handler, e.call(body, nil), 201, "") // what failed may be tried again
}

// TestEventsOfCallsAreBounded: those that ended four weeks ago go, and of more than 200 the oldest; others'
// stay, and no more than 100 stand.
func TestEventsOfCallsAreBounded(t *testing.T) {
	event := func(name string, at time.Time, labels map[string]string) *v1alpha1.DemandEvent {
		return &v1alpha1.DemandEvent{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, CreationTimestamp: metav1.NewTime(at)},
			Spec:       v1alpha1.DemandEventSpec{Pool: "a100", Start: metav1.NewTime(at), Duration: metav1.Duration{Duration: time.Hour}},
		}
	}
	called := map[string]string{v1alpha1.LabelCalled: "true"}
	const day = 24 * time.Hour
	long := start.Add(-28*day - 2*time.Hour)
	objects := []client.Object{
		event("old", long, called), event("somebodys", long, nil), event("ended", start.Add(-2*time.Hour), called),
		event("one too many", start.Add(-5*day), called), event("last of many", start.Add(-4*day), called),
	}
	for i := range mostEnded - 2 {
		objects = append(objects, event(fmt.Sprintf("past-%d", i), start.Add(-3*day), called))
	}
	for i := range mostStanding - 1 {
		objects = append(objects, event(fmt.Sprintf("stands-%d", i), start, called))
	}
	e := newEnv(t, objects...)
	e.expect(e.handler, e.call(body, nil), 201, "")
	e.expect(e.handler, e.call(body+" ", nil), 429, "100 DemandEvents of calls have not ended")
	left := map[string]bool{}
	for _, o := range e.events() {
		left[o.Name] = true
	}
	if left["old"] || left["one too many"] || !left["somebodys"] || !left["ended"] || !left["last of many"] {
		t.Errorf("left are %v", left)
	}
}

// TestEventsThatHaveEndedAreBounded: short ones, or ones of the past, that were made within the hour.
func TestEventsThatHaveEndedAreBounded(t *testing.T) {
	var objects []client.Object
	for i := range mostEnded + mostFresh - 1 {
		objects = append(objects, &v1alpha1.DemandEvent{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("past-%d", i), Labels: map[string]string{v1alpha1.LabelCalled: "true"}, CreationTimestamp: metav1.NewTime(start)},
			Spec:       v1alpha1.DemandEventSpec{Pool: "a100", Start: metav1.NewTime(start.Add(-time.Minute)), Duration: metav1.Duration{Duration: time.Second}},
		})
	}
	e := newEnv(t, objects...)
	past := strings.Replace(body, "T10:00", "T08:59", 1)
	past = strings.Replace(past, "1h", "1s", 1)
	e.expect(e.handler, e.call(past, nil), 201, "")
	e.expect(e.handler, e.call(past+" ", nil), 429, "300 DemandEvents of calls have ended")
	e.clock.SetTime(start.Add(freshFor + time.Second))
	e.expect(e.handler, e.call(past, nil), 201, "")
}

// TestWhoIsNotSignedTakesNobodysTurn: slow bodies wait beside calls that are signed.
func TestWhoIsNotSignedTakesNobodysTurn(t *testing.T) {
	e := newEnv(t)
	var slow sync.WaitGroup
	defer slow.Wait()
	for range cap(e.handler.busy) {
		from, to := io.Pipe()
		r := httptest.NewRequest(http.MethodPost, Path, from)
		slow.Go(func() { answer(e.handler, r) })
		if _, err := to.Write([]byte("{")); err != nil { // it is being read
			t.Fatal(err)
		}
		defer to.Close()
	}
	e.expect(e.handler, e.call(body, nil), 201, "call-")
}

func TestNoMoreThanEightAtATime(t *testing.T) {
	e := newEnv(t)
	for range cap(e.handler.busy) {
		e.handler.busy <- struct{}{}
	}
	e.expect(e.handler, e.call(body, nil), 503, "try again")
}

// TestTheExampleOfThePage runs what the page shows.
func TestTheExampleOfThePage(t *testing.T) {
	for _, program := range []string{"sh", "curl", "openssl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here", program)
		}
	}
	page, err := os.ReadFile("../../docs/calls.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(page, []byte("```sh\n"))
	example, _, _ := bytes.Cut(rest, []byte("```"))
	e := newEnv(t)
	e.clock.SetTime(time.Now())
	server := httptest.NewServer(e.handler)
	defer server.Close()
	command := exec.CommandContext(t.Context(), "sh", "-euc", string(example))
	command.Env = append(os.Environ(), "SECRET="+secret, "URL="+server.URL, "no_proxy=127.0.0.1")
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"name":"call-`) || len(e.events()) != 1 {
		t.Errorf("%v: %s", err, out)
	}
}
