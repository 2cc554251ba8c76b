package console

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/console/gate"
	"forewarm.dev/internal/console/live"
)

// at is when all that is tested happens.
var at = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

// world is a console, the cluster behind it, and what was logged.
type world struct {
	*httptest.Server
	clock *clocktesting.FakePassiveClock
	hub   *live.Hub
	store client.Client
	// denied are the rights that nobody has, as "verb resource"; forbidden are the reads and writes that the
	// API server refuses to people themselves.
	mu                sync.Mutex
	denied, forbidden map[string]bool
	revoked           map[string]bool
	down              bool
	log               strings.Builder
	series            forecast.Series
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// newWorld serves a console over TLS to those who trust it.
func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{clock: clocktesting.NewFakePassiveClock(at), denied: map[string]bool{}, forbidden: map[string]bool{}, revoked: map[string]bool{}}
	w.store = newStore(t, objects...)
	registry := prometheus.NewRegistry()
	w.hub = live.New(10, clock.RealClock{}, registry)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := New(ctx, Options{
		Gate: gate.New(gate.Options{
			Authenticator: authenticator.RequestFunc(w.authenticate), Authorizer: authorizer.AuthorizerFunc(w.authorize),
			Idle: 30 * time.Minute, Lifetime: 12 * time.Hour, Most: 10, Registerer: registry, Clock: w.clock,
		}),
		Hub: w.hub, Objects: w.store, Demand: w, Connect: w.connect, PlaceholderNamespace: v1alpha1.PlaceholderNamespace,
		Registerer: registry, Clock: w.clock,
		Log: funcr.New(func(prefix, args string) { w.set(func() { w.log.WriteString(prefix + " " + args + "\n") }) }, funcr.Options{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Server = httptest.NewTLSServer(c)
	t.Cleanup(func() { cancel(); w.Close() })
	return w
}

func newStore(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	field := func(get func(*corev1.Event) string) client.IndexerFunc {
		return func(o client.Object) []string { return []string{get(o.(*corev1.Event))} } //nolint:forcetypeassert // of events only
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, "status.phase", func(o client.Object) []string { return []string{string(o.(*corev1.Pod).Status.Phase)} }).
		WithIndex(&corev1.Event{}, "reason", field(func(e *corev1.Event) string { return e.Reason })).
		WithIndex(&corev1.Event{}, "involvedObject.kind", field(func(e *corev1.Event) string { return e.InvolvedObject.Kind })).
		WithIndex(&corev1.Event{}, "involvedObject.name", field(func(e *corev1.Event) string { return e.InvolvedObject.Name })).
		Build()
}

// authenticate knows tokens of the form of-NAME.
func (w *world) authenticate(r *http.Request) (*authenticator.Response, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, false, apierrors.NewInternalError(errors.New("etcd is gone"))
	}
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer of-")
	if !ok || w.revoked[name] {
		return nil, false, errors.New("invalid bearer token")
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, nil
}

func (w *world) authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.denied[a.GetVerb()+" "+a.GetResource()] {
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionAllow, "", nil
}

// connect is the API server as somebody reaches it in his own name.
func (w *world) connect(token gate.Token) (Own, error) {
	name := strings.TrimPrefix(string(token), "of-")
	refuse := func(verb string, o runtime.Object) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		kind, err := w.store.GroupVersionKindFor(o)
		if key := verb + " " + kind.Kind; err == nil && w.forbidden[key] {
			err = apierrors.NewForbidden(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, "", errors.New(name+" may not "+key))
		}
		return err
	}
	base, ok := w.store.(client.WithWatch)
	if !ok {
		return Own{}, errors.New("the fake client watches")
	}
	return Own{Client: interceptor.NewClient(base, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			return errors.Join(refuse("get", o), c.Get(ctx, key, o, options...))
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if err := refuse("list", list); err != nil {
				return err
			}
			return c.List(ctx, list, options...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.UpdateOption) error {
			if err := refuse("update", o); err != nil {
				return err
			}
			return c.Update(ctx, o, options...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if review, is := o.(*authenticationv1.SelfSubjectReview); is {
				review.Status.UserInfo.Username = name
				return nil
			}
			return c.Create(ctx, o, options...)
		},
	})}, nil
}

// Load implements Demand.
func (w *world) Load(context.Context, history.Key, time.Time, time.Duration) (forecast.Series, error) {
	return w.series, nil
}

// person is somebody with a browser.
type person struct {
	t *testing.T
	w *world
	*http.Client
}

// visitor is somebody who has not signed in.
func (w *world) visitor(t *testing.T) person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	trusted := w.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs //nolint:forcetypeassert // httptest's
	return person{t, w, &http.Client{
		Jar: jar, Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// signIn is somebody who has.
func (w *world) signIn(t *testing.T, name string) person {
	t.Helper()
	p := w.visitor(t)
	if answer := p.post("/signin", url.Values{"token": {"of-" + name}}, nil); answer.status != http.StatusSeeOther {
		t.Fatalf("%s signs in: %d\n%s", name, answer.status, answer.body)
	}
	return p
}

// answer is what a browser got.
type answer struct {
	status   int
	header   http.Header
	body, to string
}

func (p person) do(request *http.Request) answer {
	p.t.Helper()
	response, err := p.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body), response.Header.Get("Location")}
}

func (p person) get(path string) answer {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.w.URL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(request)
}

// renew gets a page as one does that renews itself.
func (p person) renew(path string) answer {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.w.URL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set(renewed, "1")
	return p.do(request)
}

// sees gets a page, and fails where it is not shown, or lacks a text.
func (p person) sees(path string, texts ...string) string {
	p.t.Helper()
	got := p.get(path)
	if got.status != http.StatusOK {
		p.t.Fatalf("%s: %d %s\n%s", path, got.status, got.to, got.body)
	}
	for _, want := range texts {
		if !strings.Contains(got.body, want) {
			p.t.Errorf("%s does not say %q:\n%s", path, want, got.body)
		}
	}
	return got.body
}

func (p person) post(path string, form url.Values, header http.Header) answer {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.w.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.do(request)
}

var formValue = regexp.MustCompile(`name="form" value="([^"]+)"`)

// form is what the forms of a page carry.
func (p person) form() url.Values {
	p.t.Helper()
	found := formValue.FindStringSubmatch(p.sees("/pools"))
	if found == nil {
		p.t.Fatal("the page has no form")
	}
	return url.Values{"form": {found[1]}}
}

// newPool is a pool with a chunk that has a forecast.
func newPool() *v1alpha1.WarmPool {
	return &v1alpha1.WarmPool{
		ObjectMeta: metav1.ObjectMeta{Name: "a100", UID: "pool"},
		Spec: v1alpha1.WarmPoolSpec{
			Mode: v1alpha1.ModeApprove, Chunks: []v1alpha1.Chunk{{Name: "single", Max: 16, WaitCostPerHour: "60", IdleCostPerHour: "3"}},
			Forecast: v1alpha1.ForecastSpec{Interval: metav1.Duration{Duration: time.Minute}, History: metav1.Duration{Duration: 24 * time.Hour}},
		},
		Status: v1alpha1.WarmPoolStatus{
			Nodes: 3,
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWaitingForNodes, Message: "2 of 7 wait"},
				{Type: v1alpha1.ConditionLimited, Status: metav1.ConditionTrue, Reason: "MaxNodes", Message: "raise <spec.sizing.maxNodes>"},
				{Type: v1alpha1.ConditionConflict, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNoOverlap, Message: "nobody else"},
			},
			Chunks: []v1alpha1.ChunkStatus{{
				Name: "single", Demand: "20", Wanted: 7, Reserved: 5, Pending: 2, Gated: 1, Free: 4,
				Forecast: &v1alpha1.ChunkForecast{P50: "27", P90: "31", Level: "32", Tau: "0.92", Source: "Auto", Reason: "EnoughHistory"},
			}},
		},
	}
}
