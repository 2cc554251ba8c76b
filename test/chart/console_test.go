package chart

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// shows: the console runs with the configuration that the chart has written, and with exactly the rights that it
// gives, none of which is missing (the audit log tells of every refusal to an account of ours, at the test's
// end). Who may look sees every page; who may not is told so.
func shows(t *testing.T, e *env) {
	if err := cluster.BuildBinaries(t.Context(), e.bin); err != nil {
		t.Fatal(err)
	}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "shown"}, Spec: warm()}
	pool.Spec.Mode = v1alpha1.ModeObserve
	if err := e.Client.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	e.console = fmt.Sprintf("127.0.0.1:%d", e.replica(t, nil, "console", "console").port)
	admin := e.signIn(t, e.person(t, "admin", "cluster-admin"))
	for path, want := range map[string]string{
		"/pools": "shown", "/pools/shown": "single", "/plans": "No plan waits", "/ceilings": "ceiling", "/decisions": "ecisions", "/pods": "ods",
		"/explain?object=namespaces%2Fweb": "web",
	} {
		status, body := admin(path)
		if status != http.StatusOK || !strings.Contains(body, want) || !strings.Contains(body, ":admin") {
			t.Errorf("%s: %d, want %q in it:\n%s", path, status, want, body)
		}
	}
	nobody := e.signIn(t, e.person(t, "nobody", "system:discovery"))
	if status, body := nobody("/pools"); status != http.StatusForbidden || strings.Contains(body, "shown") {
		t.Errorf("who may not look: %d\n%s", status, body)
	}
}

// person makes an account with a ClusterRole, and answers its token.
func (e *env) person(t *testing.T, name, role string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	for _, o := range []client.Object{account, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-" + name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceDefault, Name: name}},
	}} {
		if err := e.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	request := &authenticationv1.TokenRequest{}
	if err := e.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// signIn opens a session in the console, and answers what gets its pages.
func (e *env) signIn(t *testing.T, token string) func(path string) (int, string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{
		Jar: jar, Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // its own certificate
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	cluster.Eventually(t, patience, func() error { // once it is known what the account may
		response, err := browser.PostForm("https://"+e.console+"/signin", url.Values{"token": {token}})
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
		response, err := browser.Get("https://" + e.console + path)
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
