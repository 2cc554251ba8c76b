package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"

	"forewarm.dev/api/v1alpha1"
)

// apiServer is as much of one as the console needs: one WarmPool, and alice, who may everything.
type apiServer struct {
	url string
	// held tells of each review of a token that waits.
	held chan struct{}

	mu   sync.Mutex
	wait chan struct{}
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	a := &apiServer{held: make(chan struct{}, 10)}
	server := httptest.NewServer(a)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	a.url = server.URL
	return a
}

// hold has reviews of tokens wait until the answer is called.
func (a *apiServer) hold() (release func()) {
	wait := make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wait = wait
	return func() { close(wait) }
}

func (a *apiServer) waiting() chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wait
}

// kubeconfig leads to it.
func (a *apiServer) kubeconfig(t *testing.T) string { return kubeconfigFor(t, a.url) }

func kubeconfigFor(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
contexts: [{name: c, context: {cluster: c, user: c}}]
users: [{name: c, user: {}}]
current-context: c
`, url))
	return path
}

// kinds are those of ours that the console watches, by resource.
var kinds = map[string]string{"warmpools": "WarmPool", "capacityplans": "CapacityPlan", "decisions": "Decision"}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.URL.Path, "/")
	group := v1alpha1.GroupVersion.String()
	switch {
	case path == "version":
		reply(w, version.Info{Major: "1", Minor: "37", GitVersion: "v1.37.2"})
	case path == "api":
		reply(w, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case path == "apis":
		v := metav1.GroupVersionForDiscovery{GroupVersion: group, Version: v1alpha1.GroupVersion.Version}
		reply(w, metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{
			{Name: v1alpha1.GroupVersion.Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v},
		}})
	case path == "apis/"+group:
		reply(w, resources(group))
	case strings.HasPrefix(path, "apis/"+group+"/"):
		list(w, r, strings.TrimPrefix(path, "apis/"+group+"/"))
	case strings.HasSuffix(path, "/tokenreviews"):
		a.reviewToken(w, r)
	case strings.HasSuffix(path, "/subjectaccessreviews"):
		review := authorizationv1.SubjectAccessReview{TypeMeta: metav1.TypeMeta{Kind: "SubjectAccessReview", APIVersion: "authorization.k8s.io/v1"}}
		review.Status.Allowed = true
		reply(w, review)
	default:
		http.NotFound(w, r)
	}
}

func resources(group string) metav1.APIResourceList {
	all := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: group}
	for resource, kind := range kinds {
		all.APIResources = append(all.APIResources, metav1.APIResource{Name: resource, SingularName: strings.ToLower(kind), Kind: kind, Verbs: metav1.Verbs{"get", "list", "watch"}})
	}
	return all
}

// list answers lists, and watches, which tell of what there is and then of nothing.
func list(w http.ResponseWriter, r *http.Request, resource string) {
	of := func(metadata map[string]any) map[string]any {
		return map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": kinds[resource], "metadata": metadata, "spec": map[string]any{}}
	}
	items := []any{}
	if resource == "warmpools" {
		items = append(items, of(map[string]any{"name": "a100", "uid": "a100", "resourceVersion": "1"}))
	}
	if r.URL.Query().Get("watch") == "" {
		reply(w, map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": kinds[resource] + "List", "metadata": map[string]any{"resourceVersion": "1"}, "items": items})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	events := json.NewEncoder(w)
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, item := range items {
			_ = events.Encode(map[string]any{"type": "ADDED", "object": item})
		}
		_ = events.Encode(map[string]any{"type": "BOOKMARK", "object": of(map[string]any{"resourceVersion": "1", "annotations": map[string]any{metav1.InitialEventsAnnotationKey: "true"}})})
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func (a *apiServer) reviewToken(w http.ResponseWriter, r *http.Request) {
	review := authenticationv1.TokenReview{}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wait := a.waiting(); wait != nil {
		a.held <- struct{}{}
		<-wait
	}
	review.TypeMeta = metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"}
	if name, found := strings.CutPrefix(review.Spec.Token, "of-"); found {
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: name}, Audiences: review.Spec.Audiences}
	}
	reply(w, review)
}

func reply(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object) // the client has gone away if this fails
}
