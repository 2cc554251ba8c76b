package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/klog/v2"
)

// trusted writes a token, and the certificate of a server.
func trusted(t *testing.T, server *httptest.Server) (token, ca string) {
	t.Helper()
	token, ca = filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "ca.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for path, content := range map[string][]byte{token: []byte("secret\n"), ca: certificate} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return token, ca
}

// TestATokenFollowsNoRedirect: it is the server's, and of no other that the server names.
func TestATokenFollowsNoRedirect(t *testing.T) {
	var asked []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/here", http.StatusFound)
		}
	}))
	defer server.Close()
	token, ca := trusted(t, server)
	for _, c := range []struct{ token, path, fails string }{
		{token, "/near", ""},
		{token, "/away", "write the url of the server that answers"},
		{"", "/away", ""},
	} {
		carrier, err := carrierTo(server.URL, c.token, ca)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: carrier}).Get(server.URL + c.path)
		if err == nil {
			_ = response.Body.Close()
		}
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", c.path, err, c.fails)
		}
	}
	if len(asked) != 1 || asked[0] != "" {
		t.Errorf("the other server was told %q, want nothing, once", asked)
	}
}

// TestATokenIsNotLogged however much is logged, and whatever the server answers.
func TestATokenIsNotLogged(t *testing.T) {
	said := logged(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(code)
	}))
	defer server.Close()
	token, ca := trusted(t, server)
	if err := os.WriteFile(token, []byte("hush-hush-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	carrier, err := carrierTo(server.URL, token, ca)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{http.StatusOK, http.StatusFound, http.StatusUnauthorized, http.StatusInternalServerError} {
		response, err := (&http.Client{Transport: carrier}).Get(fmt.Sprintf("%s/%d", server.URL, code))
		if err == nil {
			_ = response.Body.Close()
		} else if strings.Contains(err.Error(), "hush-hush-token") {
			t.Errorf("%d: the error holds the token: %v", code, err)
		}
	}
	log := said()
	if !strings.Contains(log, "Authorization") || !strings.Contains(log, server.URL) {
		t.Errorf("the log says no more than usual:\n%s", log)
	}
	for _, secret := range []string{"hush-hush-token", base64.StdEncoding.EncodeToString([]byte("hush-hush-token"))} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the token:\n%s", log)
		}
	}
}

// logged has all be logged that can be, and returns it when asked.
func logged(t *testing.T) func() string {
	t.Helper()
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	t.Cleanup(klog.CaptureState().Restore)
	for name, value := range map[string]string{"v": "10", "logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	klog.SetOutput(&out)
	return func() string {
		klog.Flush()
		return out.String()
	}
}
