package integration

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"forewarm.dev/test/cluster"
)

// loopConsole starts the console, and has somebody look at the pool in it.
func loopConsole(t *testing.T, e *loopEnv) {
	if err := e.ApplyFiles(t.Context(), filepath.Join("..", "..", "manifests", "rbac", "console.yaml")); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "alice"}}
	e.create(t, account)
	e.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	})
	path, err := e.KubeconfigForServiceAccount(t.Context(), account.Namespace, account.Name)
	if err != nil {
		t.Fatal(err)
	}
	access, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	e.person = access.BearerToken
	e.start(t, "console", "console")
	if page := e.signIn(t); !strings.Contains(page, loopName) {
		t.Errorf("the console shows no pool %s:\n%s", loopName, page)
	}
}

// signIn signs the person in to the console; it returns the page of the pools.
func (e *loopEnv) signIn(t *testing.T) string {
	t.Helper()
	get, page := cluster.SignIn(t, "https://"+e.processes["console"].serves, e.person), ""
	cluster.Eventually(t, loopWait, func() error { // once it is known what the person may
		status, body := get("/pools")
		if page = body; status != http.StatusOK || !strings.Contains(body, "alice") {
			return fmt.Errorf("the pools: %d, %s", status, body)
		}
		return nil
	})
	return page
}
