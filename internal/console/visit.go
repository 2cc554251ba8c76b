package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/console/gate"
)

const (
	// cookie has the id of the session. By its prefix browsers take it over TLS only, and for no other host.
	cookie = "__Host-forewarm"
	// renewed is the header of requests that a page makes by itself to renew its parts.
	renewed = "X-Forewarm-Live"
)

// visit is one request of somebody who is signed in.
type visit struct {
	request *http.Request
	session *gate.Session
	console *Console
}

// show makes what somebody asks for.
type show func(*visit) (page, error)

// page is what is shown.
type page struct {
	// Title is the page's heading, and template the name of its template.
	Title, template string
	// Topics are those of which a change makes the page anew.
	Topics []string
	// Content is what the template tells.
	Content any
	// to is where to go instead.
	to string
	// status is 200 where it is zero.
	status int
}

// problem is an answer that is not what was asked for.
type problem struct {
	status      int
	title, says string
}

// Error implements error.
func (p *problem) Error() string { return p.title + ": " + p.says }

// visitors lets those in who are signed in, and others sign in first.
func (c *Console) visitors(next show) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := c.sessionOf(r, r.Header.Get(renewed) == "")
		switch {
		case errors.Is(err, gate.ErrUnknown):
			c.sendToSignIn(w, r)
			return
		case err != nil:
			c.fail(w, r, nil, &problem{http.StatusServiceUnavailable, "The API server does not answer", err.Error()})
			return
		}
		if r.Method == http.MethodPost && !session.Wrote(r.PostFormValue("form")) {
			c.fail(w, r, session, &problem{http.StatusForbidden, "This form is of another session", "Nothing was changed: go back, reload the page and try again."})
			return
		}
		shown, err := next(&visit{r, session, c})
		if err != nil {
			c.fail(w, r, session, err)
			return
		}
		if shown.to != "" {
			http.Redirect(w, r, shown.to, http.StatusSeeOther)
			return
		}
		c.write(w, r, session, shown)
	})
}

// sessionOf is the session of a request; gate.ErrUnknown without one.
func (c *Console) sessionOf(r *http.Request, active bool) (*gate.Session, error) {
	carried, err := r.Cookie(cookie)
	if err != nil {
		return nil, gate.ErrUnknown
	}
	return c.options.Gate.Find(r.Context(), carried.Value, active)
}

// frame is what every page has.
type frame struct {
	page
	// User is who looks, empty before he has signed in; Form is what his forms carry.
	User, Form string
	// Path is where he is, for the navigation.
	Path string
	// Said is what was just done.
	Said string
}

func (c *Console) write(w http.ResponseWriter, r *http.Request, session *gate.Session, shown page) {
	f := frame{page: shown, Path: r.URL.Path}
	if session != nil {
		f.User, f.Form = session.User.GetName(), session.Form()
		if r.Header.Get(renewed) == "" { // not to a page that renews itself meanwhile
			said, _ := session.Kept.LoadAndDelete(keptSaid)
			f.Said, _ = said.(string)
		}
	}
	var body bytes.Buffer
	if err := c.pages[shown.template].ExecuteTemplate(&body, "layout", f); err != nil {
		c.options.Log.Error(err, "A page could not be written", "page", shown.template)
		http.Error(w, "the page could not be written: the console's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if shown.status != 0 {
		w.WriteHeader(shown.status)
	}
	_, _ = body.WriteTo(w) // who has gone reads nothing
}

// fail shows a problem instead of a page.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, session *gate.Session, err error) {
	p := problemOf(err)
	if p.status == http.StatusInternalServerError {
		c.options.Log.Error(err, "A page could not be made", "path", r.URL.Path)
	}
	c.write(w, r, session, page{Title: p.title, template: "problem", Content: p.says, status: p.status})
}

// problemOf is how an error is told.
func problemOf(err error) *problem {
	var known *problem
	switch {
	case errors.As(err, &known):
		return known
	case apierrors.IsForbidden(err):
		return &problem{http.StatusForbidden, "You may not do this", err.Error()}
	case apierrors.IsUnauthorized(err):
		return &problem{http.StatusForbidden, "The API server does not accept your token any more", "Sign out, and in with a new one."}
	case apierrors.IsNotFound(err):
		return &problem{http.StatusNotFound, "There is no such object", err.Error()}
	case apierrors.IsConflict(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return &problem{http.StatusConflict, "The API server has refused it", err.Error()}
	case meta.IsNoMatchError(err):
		return &problem{http.StatusNotFound, "The cluster does not know this kind", "Install Forewarm's CRDs: manifests/crd."}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{http.StatusGatewayTimeout, "This took too long", err.Error()}
	default:
		return &problem{http.StatusInternalServerError, "The page could not be made", err.Error()}
	}
}

// needs fails where the visitor lacks a right, and names it.
func (v *visit) needs(asks ...gate.Ask) error {
	for _, ask := range asks {
		allowed, err := v.may(ask)
		if err != nil {
			return err
		}
		if !allowed {
			return &problem{http.StatusForbidden, "You may not see this", fmt.Sprintf("It needs the right to %s, which %s does not have. docs/console.md has a ClusterRole for those who look.", rightOf(ask), v.session.User.GetName())}
		}
	}
	return nil
}

func (v *visit) may(ask gate.Ask) (bool, error) {
	return v.console.options.Gate.May(v.request.Context(), v.session, ask)
}

// rightOf names a right as an admin would write it.
func rightOf(ask gate.Ask) string {
	of := ask.Resource
	if ask.Group != "" {
		of += "." + ask.Group
	}
	if ask.Name != "" {
		of += "/" + ask.Name
	}
	if ask.Namespace != "" {
		of += " in namespace " + ask.Namespace
	}
	return ask.Verb + " " + of
}

// ours is a right on a kind of Forewarm's.
func ours(verb, resource, name string) gate.Ask {
	return gate.Ask{Verb: verb, Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Resource: resource, Name: name}
}

// What sessions keep.
const (
	keptOwn  = "own"
	keptSaid = "said"
)

// own reaches the API server in the visitor's name.
func (v *visit) own() (Own, error) {
	if kept, ok := v.session.Kept.Load(keptOwn); ok {
		return kept.(Own), nil //nolint:forcetypeassert // it is stored below
	}
	own, err := v.console.options.Connect(v.session.Token)
	if err != nil {
		return own, err
	}
	v.session.Kept.Store(keptOwn, own)
	return own, nil
}

// then goes to another page, and tells something there.
func (v *visit) then(to, said string) page {
	v.session.Kept.Store(keptSaid, said)
	return page{to: to}
}

// back is the page of ours that a query names to go to; the first one for every other.
func back(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, `\`) || u.Path == "/signin" {
		return "/pools"
	}
	return u.RequestURI()
}
