package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"forewarm.dev/internal/console/live"
)

// paths are all pages for those who have signed in.
var paths = []string{"/", "/pools", "/pools/a100", "/plans", "/ceilings", "/explain", "/decisions", "/decisions/x", "/pods", "/pods/team/x", "/nowhere"}

func TestNobodySeesAPageWithoutSigningIn(t *testing.T) {
	w := newWorld(t, newPool())
	p := w.visitor(t)
	for _, path := range paths {
		got := p.get(path)
		if to, _, _ := strings.Cut(got.to, "?"); got.status != http.StatusSeeOther || to != "/signin" || strings.Contains(got.body, "a100") && path != "/pools/a100" {
			t.Errorf("%s: %d to %q", path, got.status, got.to)
		}
	}
	for _, path := range []string{"/plans/x/approve", "/plans/x/reject", "/signout"} {
		if got := p.post(path, url.Values{"form": {"x"}}, nil); got.status != http.StatusSeeOther || got.to != "/signin" {
			t.Errorf("%s: %d to %q", path, got.status, got.to)
		}
	}
	if got := p.get("/live?topic=pools"); got.status != http.StatusUnauthorized {
		t.Errorf("/live: %d", got.status)
	}
}

func TestSigningIn(t *testing.T) {
	w := newWorld(t, newPool())
	p := w.visitor(t)
	got := p.post("/signin", url.Values{"token": {"wrong"}, "to": {"/plans"}}, nil)
	if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "does not accept this token") || !strings.Contains(got.body, `value="/plans"`) || strings.Contains(got.body, "wrong") {
		t.Errorf("a wrong token: %d\n%s", got.status, got.body)
	}
	got = p.post("/signin", url.Values{"token": {" of-alice\n"}, "to": {"/pools/a100?x=1"}}, nil)
	if got.status != http.StatusSeeOther || got.to != "/pools/a100?x=1" {
		t.Fatalf("%d to %q", got.status, got.to)
	}
	for _, want := range []string{"__Host-forewarm=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(got.header.Get("Set-Cookie"), want) {
			t.Errorf("the cookie %q lacks %q", got.header.Get("Set-Cookie"), want)
		}
	}
	p.sees("/pools", "alice", "Sign out", `aria-current="page">Pools`)
	if got := p.get("/signin"); got.status != http.StatusSeeOther {
		t.Errorf("the sign-in page of one who is signed in: %d", got.status)
	}
	if got := p.get("/signin?to=/plans"); got.to != "/plans" {
		t.Errorf("to %q", got.to)
	}
	if got := p.post("/signout", p.form(), nil); got.status != http.StatusSeeOther {
		t.Errorf("sign out: %d", got.status)
	}
	if got := p.get("/pools"); got.status != http.StatusSeeOther {
		t.Errorf("a page behind signing out: %d", got.status)
	}
	w.set(func() {
		if strings.Contains(w.log.String(), "of-alice") || strings.Contains(w.log.String(), "wrong") {
			t.Errorf("a token was logged:\n%s", w.log.String())
		}
	})
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	for to, want := range map[string]string{
		"/plans": "/plans", "/decisions?pool=a": "/decisions?pool=a", "": "/pools", "plans": "/pools", "//evil.example/x": "/pools",
		"https://evil.example": "/pools", `/\evil.example`: "/pools", "javascript:alert(1)": "/pools", "/signin": "/pools", "/%zz": "/pools",
	} {
		if got := back(to); got != want {
			t.Errorf("back(%q) = %q, want %q", to, got, want)
		}
	}
}

func TestALostTokenEndsTheStay(t *testing.T) {
	w := newWorld(t, newPool())
	p := w.signIn(t, "alice")
	w.set(func() { w.down = true })
	if got := p.get("/pools"); got.status != http.StatusServiceUnavailable || strings.Contains(got.body, "WarmPool") {
		t.Errorf("while the API server is gone: %d\n%s", got.status, got.body)
	}
	w.set(func() { w.down = false })
	p.sees("/pools", "a100")
	w.set(func() { w.revoked["alice"] = true })
	if got := p.get("/pools"); got.status != http.StatusSeeOther {
		t.Errorf("with a revoked token: %d", got.status)
	}
	w.set(func() { w.revoked["alice"] = false })
	if got := p.get("/pools"); got.status != http.StatusSeeOther {
		t.Errorf("the session stands again: %d", got.status)
	}
}

// TestRenewingKeepsNobodySignedIn: a page that is left open renews itself for as long as the session lasts.
func TestRenewingKeepsNobodySignedIn(t *testing.T) {
	w := newWorld(t, newPool())
	p := w.signIn(t, "alice")
	renew := func() answer { return p.renew("/pools") }
	w.clock.SetTime(at.Add(20 * time.Minute))
	if got := renew(); got.status != http.StatusOK {
		t.Errorf("after 20 minutes: %d", got.status)
	}
	w.clock.SetTime(at.Add(31 * time.Minute))
	if got := renew(); got.status != http.StatusUnauthorized {
		t.Errorf("after 31 minutes: %d", got.status)
	}
}

func TestRightsDecideWhatIsShown(t *testing.T) {
	for right, hidden := range map[string][]string{
		"list warmpools":     {"/pools"},
		"get warmpools":      {"/pools/a100"},
		"list capacityplans": {"/plans"},
		"list decisions":     {"/decisions"},
		"get decisions":      {"/decisions/d1"},
	} {
		t.Run(right, func(t *testing.T) {
			w := newWorld(t, newPool(), newDecision("d1", at, 7))
			p := w.signIn(t, "alice")
			for _, path := range hidden {
				p.sees(path)
			}
			w.set(func() { w.denied[right] = true })
			verb, resource, _ := strings.Cut(right, " ")
			for _, path := range hidden {
				got := p.get(path)
				if got.status != http.StatusForbidden || !strings.Contains(got.body, verb+" "+resource+".forewarm.dev") || !strings.Contains(got.body, "alice") {
					t.Errorf("%s: %d\n%s", path, got.status, got.body)
				}
			}
		})
	}
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	w := newWorld(t, newPlan("a100-1"))
	alice, bob := w.signIn(t, "alice"), w.signIn(t, "bob")
	for name, tt := range map[string]struct {
		form   url.Values
		header http.Header
	}{
		"no form":              {url.Values{}, nil},
		"of another session":   {bob.form(), nil},
		"from another site":    {alice.form(), http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"from a sibling site":  {alice.form(), http.Header{"Sec-Fetch-Site": {"same-site"}}},
		"with another origin":  {alice.form(), http.Header{"Origin": {"https://evil.example"}}},
		"with an opaque one":   {alice.form(), http.Header{"Origin": {"null"}}},
		"too large, otherwise": {url.Values{"form": alice.form()["form"], "x": {strings.Repeat("x", largestForm)}}, nil},
	} {
		if got := alice.post("/plans/a100-1/approve", tt.form, tt.header); got.status != http.StatusForbidden {
			t.Errorf("%s: %d\n%s", name, got.status, got.body)
		}
	}
	if got := alice.post("/signin", url.Values{"token": {"of-eve"}}, http.Header{"Sec-Fetch-Site": {"cross-site"}}); got.status != http.StatusForbidden {
		t.Errorf("signing somebody else in from another site: %d", got.status)
	}
	if got := alice.get("/plans/a100-1/approve"); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
		t.Errorf("approving by a link: %d", got.status)
	}
	if plan := w.plan(t, "a100-1"); plan.Spec.Approval != nil || plan.Spec.Rejection != nil {
		t.Errorf("decided: %+v", plan.Spec)
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	w := newWorld(t, newPool())
	p := w.signIn(t, "alice")
	for _, path := range append(paths, "/signin", "/assets/console.css", "/assets/console.js", "/assets/none") {
		got := p.get(path)
		policy := got.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || got.header.Get("X-Content-Type-Options") != "nosniff" || got.status < 400 && got.header.Get("Cache-Control") == "" {
			t.Errorf("%s: %v", path, got.header)
		}
		for _, inline := range []string{" style=", "<style", "<script>", " onclick=", " onload=", "javascript:"} {
			if strings.Contains(got.body, inline) && strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s has %q, which the policy forbids", path, inline)
			}
		}
	}
}

func TestAPageHearsOfChanges(t *testing.T) {
	w := newWorld(t, newPool())
	p := w.signIn(t, "alice")
	if body := p.sees("/pools"); !strings.Contains(body, `data-live="topic=pools"`) {
		t.Errorf("the page watches nothing:\n%s", body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/live?topic=pools", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := p.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	heard := make([]byte, 4096)
	n, err := response.Body.Read(heard)
	if err != nil {
		t.Fatal(err)
	}
	text := string(heard[:n])
	w.hub.Publish(live.Pools)
	for !strings.Contains(text, "event: changed") {
		if n, err = response.Body.Read(heard); err != nil {
			t.Fatalf("%v behind %q", err, text)
		}
		text += string(heard[:n])
	}
}
