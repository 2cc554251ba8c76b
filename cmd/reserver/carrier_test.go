package main

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
