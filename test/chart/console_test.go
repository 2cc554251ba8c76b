package chart

import (
	"fmt"
	"net/http"
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
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "shown"}, Spec: warm()}
	pool.Spec.Mode = v1alpha1.ModeObserve
	if err := e.Client.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	e.console = fmt.Sprintf("127.0.0.1:%d", e.replica(t, nil, "console", "console").port)
	admin := cluster.SignIn(t, "https://"+e.console, e.person(t, "admin", "cluster-admin"))
	for path, want := range map[string]string{
		"/pools": "shown", "/pools/shown": "single", "/plans": "No plan waits", "/ceilings": "ceiling", "/decisions": "ecisions", "/pods": "ods",
		"/explain?object=namespaces%2Fweb": "web",
	} {
		status, body := admin(path)
		if status != http.StatusOK || !strings.Contains(body, want) || !strings.Contains(body, ":admin") {
			t.Errorf("%s: %d, want %q in it:\n%s", path, status, want, body)
		}
	}
	nobody := cluster.SignIn(t, "https://"+e.console, e.person(t, "nobody", "system:discovery"))
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
