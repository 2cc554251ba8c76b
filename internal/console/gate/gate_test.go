package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	clocktesting "k8s.io/utils/clock/testing"
)

// world is a cluster that knows some tokens.
type world struct {
	tokens map[string]*user.DefaultInfo
	fails  error
	clock  *clocktesting.FakePassiveClock
	gate   *Gate
}

func newWorld(t *testing.T, most int) *world {
	t.Helper()
	w := &world{
		tokens: map[string]*user.DefaultInfo{"of-alice": {Name: "alice", UID: "1", Groups: []string{"b", "a"}}, "of-bob": {Name: "bob"}},
		clock:  clocktesting.NewFakePassiveClock(time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)),
	}
	w.gate = New(Options{
		Authenticator: authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
			if w.fails != nil {
				return nil, false, w.fails
			}
			who := w.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
			if who == nil {
				return nil, false, utilerrors.NewAggregate([]error{errors.New("invalid bearer token"), errors.New("oidc: expired")})
			}
			return &authenticator.Response{User: who}, true, nil
		}),
		Authorizer: authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if a.GetResource() == "broken" {
				return authorizer.DecisionNoOpinion, "", errors.New("the API server is busy")
			}
			if a.GetUser().GetName() == "alice" && a.GetVerb() == "list" && a.GetResource() == "warmpools" && a.GetAPIGroup() == "forewarm.dev" && a.IsResourceRequest() {
				return authorizer.DecisionAllow, "", nil
			}
			return authorizer.DecisionNoOpinion, "", nil
		}),
		Idle: 30 * time.Minute, Lifetime: 12 * time.Hour, Most: most, Registerer: prometheus.NewRegistry(), Clock: w.clock,
	})
	return w
}

func (w *world) enter(t *testing.T, token Token) string {
	t.Helper()
	id, err := w.gate.Enter(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// stands says whether a session is found without that somebody does something.
func (w *world) stands(t *testing.T, id string) bool {
	t.Helper()
	session, err := w.gate.Find(t.Context(), id, false)
	if err != nil && !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	return session != nil
}

func TestATokenOpensASession(t *testing.T) {
	w := newWorld(t, 10)
	for _, bad := range []Token{"", "of-nobody", "of alice", "of-alice\r\nX: y", Token(strings.Repeat("x", longest+1))} {
		if _, err := w.gate.Enter(t.Context(), bad); !errors.Is(err, ErrUnknown) {
			t.Errorf("token of %d bytes: %v", len(bad), err)
		}
	}
	id := w.enter(t, "of-alice")
	session, err := w.gate.Find(t.Context(), id, true)
	if err != nil || session.User.GetName() != "alice" {
		t.Fatalf("session %v, error %v", session, err)
	}
	if session.Wrote("") || session.Wrote("x") || !session.Wrote(session.Form()) || len(session.Form()) < 20 || session.Form() == id {
		t.Errorf("form %q", session.Form())
	}
	if other := w.enter(t, "of-alice"); other == id {
		t.Error("two sessions with one id")
	}
	if w.stands(t, "x") || w.stands(t, "") {
		t.Error("a session of an id that was never given")
	}
	w.gate.Leave(id)
	if w.stands(t, id) {
		t.Error("the session stands after it was left")
	}
	if got := testutil.ToFloat64(w.gate.signIns.WithLabelValues("Unknown")); got != 5 {
		t.Errorf("%v attempts counted with unknown tokens, want 5", got)
	}
}

func TestSessionsEnd(t *testing.T) {
	tests := map[string]struct {
		pass   func(t *testing.T, w *world, id string)
		stands bool
	}{
		"idle": {func(_ *testing.T, w *world, _ string) { w.clock.SetTime(w.clock.Now().Add(30 * time.Minute)) }, false},
		"looked at by nobody": {func(t *testing.T, w *world, id string) {
			for range 3 { // a page renews itself, and nobody is there
				w.clock.SetTime(w.clock.Now().Add(12 * time.Minute))
				w.stands(t, id)
			}
		}, false},
		"in use": {func(t *testing.T, w *world, id string) {
			for range 3 {
				w.clock.SetTime(w.clock.Now().Add(29 * time.Minute))
				if _, err := w.gate.Find(t.Context(), id, true); err != nil {
					t.Fatal(err)
				}
			}
		}, true},
		"over": {func(t *testing.T, w *world, id string) {
			for range 25 {
				w.clock.SetTime(w.clock.Now().Add(29 * time.Minute))
				_, _ = w.gate.Find(t.Context(), id, true)
			}
		}, false},
		"revoked": {func(_ *testing.T, w *world, _ string) { delete(w.tokens, "of-alice") }, false},
		"of somebody else": {func(_ *testing.T, w *world, _ string) {
			w.tokens["of-alice"] = &user.DefaultInfo{Name: "eve", UID: "1"}
		}, false},
		"recreated": {func(_ *testing.T, w *world, _ string) {
			w.tokens["of-alice"] = &user.DefaultInfo{Name: "alice", UID: "2"}
		}, false},
		"in another group": {func(_ *testing.T, w *world, _ string) {
			w.tokens["of-alice"] = &user.DefaultInfo{Name: "alice", UID: "1", Groups: []string{"a"}}
		}, false},
		"groups in another order": {func(_ *testing.T, w *world, _ string) {
			w.tokens["of-alice"] = &user.DefaultInfo{Name: "alice", UID: "1", Groups: []string{"a", "b"}}
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 10)
			id := w.enter(t, "of-alice")
			tt.pass(t, w, id)
			if got := w.stands(t, id); got != tt.stands {
				t.Errorf("stands: %t, want %t", got, tt.stands)
			}
			if want := map[bool]int{true: 1}[tt.stands]; w.gate.sessions.count() != want {
				t.Errorf("%d sessions are kept, want %d", w.gate.sessions.count(), want)
			}
		})
	}
}

// TestAnOutageEndsNoSession: nobody is let in meanwhile, and nobody has to sign in again behind it.
func TestAnOutageEndsNoSession(t *testing.T) {
	w := newWorld(t, 10)
	id := w.enter(t, "of-alice")
	for name, outage := range map[string]error{
		"busy":    apierrors.NewTooManyRequests("busy", 1),
		"within":  utilerrors.NewAggregate([]error{errors.New("x"), fmt.Errorf("post: %w", apierrors.NewInternalError(errors.New("etcd")))}),
		"late":    context.DeadlineExceeded,
		"refused": apierrors.NewForbidden(schema.GroupResource{Resource: "tokenreviews"}, "", errors.New("no")),
	} {
		w.fails = outage
		if _, err := w.gate.Find(t.Context(), id, true); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v, want an error that is not of the token", name, err)
		}
	}
	w.fails = nil
	if !w.stands(t, id) {
		t.Error("the session has ended")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	w := newWorld(t, perUser+1)
	ids := make([]string, perUser)
	for i := range ids {
		ids[i] = w.enter(t, "of-alice")
		w.clock.SetTime(w.clock.Now().Add(time.Second))
	}
	newest := w.enter(t, "of-alice")
	if w.stands(t, ids[0]) || !w.stands(t, ids[1]) || !w.stands(t, newest) {
		t.Error("want the oldest session of a user ended for his ninth, and no other")
	}
	w.enter(t, "of-bob")
	w.tokens["of-carol"] = &user.DefaultInfo{Name: "carol"}
	if _, err := w.gate.Enter(t.Context(), "of-carol"); !errors.Is(err, ErrFull) {
		t.Errorf("one more than there may be: %v", err)
	}
	for range burst {
		_, _ = w.gate.Enter(t.Context(), "of-nobody")
	}
	if _, err := w.gate.Enter(t.Context(), "of-alice"); !errors.Is(err, ErrBusy) {
		t.Errorf("after many attempts: %v", err)
	}
	w.clock.SetTime(w.clock.Now().Add(10 * time.Second))
	w.enter(t, "of-alice")
}

func TestRightsAreAskedFor(t *testing.T) {
	w := newWorld(t, 10)
	for token, want := range map[Token]bool{"of-alice": true, "of-bob": false} {
		session, err := w.gate.Find(t.Context(), w.enter(t, token), true)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.gate.May(t.Context(), session, Ask{Verb: "list", Group: "forewarm.dev", Version: "v1alpha1", Resource: "warmpools"})
		if err != nil || got != want {
			t.Errorf("%s: %t, %v; want %t", session.User.GetName(), got, err, want)
		}
		if got, err := w.gate.May(t.Context(), session, Ask{Verb: "list", Resource: "broken"}); err == nil || got {
			t.Errorf("where nobody answers: %t, %v", got, err)
		}
	}
}

func TestATokenIsNotPrinted(t *testing.T) {
	token := Token("secret")
	text, err := token.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	session := Session{Token: token}
	if said := fmt.Sprintf("%v %s %+v %#v %q %s %+v", token, token, token, token, token, text, &session); strings.Contains(said, "secret") {
		t.Errorf("printed: %s", said)
	}
}
