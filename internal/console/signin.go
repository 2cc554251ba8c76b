package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"forewarm.dev/internal/console/gate"
)

// signInForm is what the page to sign in with shows.
type signInForm struct {
	// To is where to go then, Problem why it did not work.
	To, Problem string
}

// sendToSignIn has somebody sign in, and come back.
func (c *Console) sendToSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(renewed) != "" {
		http.Error(w, "signed out", http.StatusUnauthorized)
		return
	}
	to := "/signin"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?" + url.Values{"to": {r.URL.RequestURI()}}.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (c *Console) askToSignIn(w http.ResponseWriter, r *http.Request) {
	to := back(r.URL.Query().Get("to"))
	if _, err := c.sessionOf(r, true); err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	c.write(w, r, nil, page{Title: "Sign in", template: "signin", Content: signInForm{To: to}})
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	to := back(r.PostFormValue("to"))
	token := gate.Token(strings.TrimSpace(r.PostFormValue("token")))
	id, err := c.options.Gate.Enter(r.Context(), token)
	if err != nil {
		status, says := http.StatusUnauthorized, err.Error()
		if !errors.Is(err, gate.ErrUnknown) {
			status = http.StatusServiceUnavailable
			c.options.Log.Info("Nobody could sign in", "reason", says)
		}
		c.write(w, r, nil, page{Title: "Sign in", template: "signin", Content: signInForm{To: to, Problem: says}, status: status})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: id, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// signOut ends the session, and with it everything that is kept of it.
func (c *Console) signOut(v *visit) (page, error) {
	if carried, err := v.request.Cookie(cookie); err == nil {
		c.options.Gate.Leave(carried.Value)
	}
	return page{to: "/signin"}, nil
}

// live tells a page of changes, as long as its session stands.
func (c *Console) live(w http.ResponseWriter, r *http.Request) {
	stands := func(context.Context) bool {
		_, err := c.sessionOf(r, false)
		return !errors.Is(err, gate.ErrUnknown)
	}
	if _, err := c.sessionOf(r, false); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	c.options.Hub.Serve(ctx, w, r, stands)
}

// home is the list of pools.
func (c *Console) home(*visit) (page, error) { return page{to: "/pools"}, nil }

func (c *Console) nothing(*visit) (page, error) {
	return page{}, &problem{http.StatusNotFound, "There is no such page", "The links above lead to those that there are."}
}
