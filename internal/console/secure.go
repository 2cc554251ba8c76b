package console

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
)

// headers are on every answer. No script, style or picture is taken but ours, nothing is written into
// pages that would run, nobody frames us, and nothing is kept on disk.
var headers = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
	"Cache-Control":                "no-store",
}

// largestForm bounds the body of a request: a token, and some fields.
const largestForm = 64 << 10

// guarded refuses what other sites' pages have browsers write, and bodies that are too large.
func (c *Console) guarded(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, nil, &problem{http.StatusForbidden, "This came from another site", "A page of another site has sent this form. Nothing was changed: open the console itself, and try there."})
	}))
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, largestForm)
		if strings.HasPrefix(r.URL.Path, "/assets/") {
			w.Header().Set("Cache-Control", "no-cache") // asked about each time, since a new version has the same names
		}
		next.ServeHTTP(w, r)
	}))
}

// recovered answers 500 where a page could not be made for a reason that nobody has thought of.
func (c *Console) recovered(w http.ResponseWriter, r *http.Request) {
	reason := recover()
	if err, is := reason.(error); is && errors.Is(err, http.ErrAbortHandler) {
		panic(reason)
	}
	if reason == nil {
		return
	}
	c.options.Log.Error(fmt.Errorf("%v", reason), "A page could not be made", "path", r.URL.Path, "stack", string(debug.Stack()))
	c.fail(w, r, nil, &problem{http.StatusInternalServerError, "The page could not be made", "The console's log says why."})
}
