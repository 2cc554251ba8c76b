package cluster

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"
)

// SignIn signs somebody in to the console at a URL, by a token of the cluster; it returns what gets the
// status and the text of a page.
func SignIn(t testing.TB, at, token string) func(path string) (int, string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{
		Jar: jar, Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // its own certificate
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	Eventually(t, time.Minute, func() error { // once it is known what the console's account may
		response, err := browser.PostForm(at+"/signin", url.Values{"token": {token}})
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusSeeOther {
			return fmt.Errorf("sign in: %s", response.Status)
		}
		return nil
	})
	return func(path string) (int, string) {
		response, err := browser.Get(at + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
}
