package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// objects is an API server of lists: apis/GROUP/VERSION/RESOURCE.yaml, or api/v1/RESOURCE.yaml, each
// with all objects of a kind. What is written there is kept as long as it serves.
type objects map[schema.GroupVersionResource]*unstructured.UnstructuredList

func newServer(folder string) (*httptest.Server, error) {
	all := objects{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		list := &unstructured.UnstructuredList{}
		content, err := yaml.YAMLToJSON(text)
		if err == nil {
			err = list.UnmarshalJSON(content)
		}
		gvr, _ := resourceOf(strings.TrimSuffix(filepath.ToSlash(name), ".yaml"))
		all[gvr] = list
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("objects to serve: %w", err)
	}
	var one sync.Mutex
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		defer one.Unlock()
		all.ServeHTTP(w, r)
	})), nil
}

// resourceOf takes a path apart, up to what it names below the resource.
func resourceOf(path string) (gvr schema.GroupVersionResource, below []string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) > 2:
		gvr.Version, below = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		gvr.Group, gvr.Version, below = parts[1], parts[2], parts[3:]
	default:
		return gvr, nil
	}
	gvr.Resource = below[0]
	return gvr, below[1:]
}

func (o objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	gvr, below := resourceOf(r.URL.Path)
	namespace := ""
	if gvr.Resource == "namespaces" && len(below) > 1 {
		namespace, gvr.Resource, below = below[0], below[1], below[2:]
	}
	list := o[gvr]
	switch {
	case gvr.Resource == "":
		reply(w, o.discover(strings.Trim(r.URL.Path, "/")))
	case list == nil:
		refuse(w, gvr, "")
	case r.Method == http.MethodPost && strings.HasSuffix(gvr.Resource, "reviews"):
		reply(w, list.Items[0].Object) // what is asked about, such as who one is
	case r.Method == http.MethodPost:
		o.create(w, r, gvr, namespace)
	case len(below) > 0:
		i := slices.IndexFunc(list.Items, func(u unstructured.Unstructured) bool {
			return u.GetName() == below[0] && u.GetNamespace() == namespace
		})
		switch {
		case i < 0:
			refuse(w, gvr, below[0])
		case r.Method == http.MethodGet:
			reply(w, shown(r, list.Items[i].Object, "PartialObjectMetadata"))
		case r.Method == http.MethodDelete:
			list.Items = slices.Delete(list.Items, i, i+1)
			reply(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
		default:
			change(w, r, &list.Items[i])
		}
	default:
		reply(w, o.pick(r, list, namespace))
	}
}

// create keeps one more object.
func (o objects) create(w http.ResponseWriter, r *http.Request, gvr schema.GroupVersionResource, namespace string) {
	body, err := io.ReadAll(r.Body)
	made := unstructured.Unstructured{}
	if err == nil {
		made, err = decoded(body)
	}
	if err != nil {
		fail(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	if namespace != "" {
		made.SetNamespace(namespace)
	}
	if slices.ContainsFunc(o[gvr].Items, func(u unstructured.Unstructured) bool {
		return u.GetName() == made.GetName() && u.GetNamespace() == namespace
	}) {
		fail(w, apierrors.NewAlreadyExists(gvr.GroupResource(), made.GetName()))
		return
	}
	o[gvr].Items = append(o[gvr].Items, made)
	reply(w, made.Object)
}

// change puts or patches an object.
func change(w http.ResponseWriter, r *http.Request, object *unstructured.Unstructured) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Method == http.MethodPatch {
		body, err = patched(r.Header.Get("Content-Type"), object, body)
	}
	now := unstructured.Unstructured{}
	if err == nil {
		now, err = decoded(body)
	}
	if err != nil {
		fail(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	*object = now
	reply(w, now.Object)
}

// decoded is an object as a client sends it, in JSON or, of Kubernetes' own kinds, in protobuf.
func decoded(body []byte) (object unstructured.Unstructured, err error) {
	if json.Valid(body) {
		err = object.UnmarshalJSON(body)
		return object, err
	}
	typed, _, err := clientgoscheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return object, err
	}
	object.Object, err = runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	return object, err
}

// patched is an object after a patch of the type that a client names.
func patched(kind string, object *unstructured.Unstructured, patch []byte) ([]byte, error) {
	before, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if kind == string(types.MergePatchType) {
		return jsonpatch.MergePatch(before, patch)
	}
	steps, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	return steps.Apply(before)
}

// pick are the objects of a namespace, with the labels that are asked for.
func (o objects) pick(r *http.Request, list *unstructured.UnstructuredList, namespace string) any {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return apierrors.NewBadRequest(err.Error()).Status()
	}
	named := strings.TrimPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	items := []any{}
	for _, item := range list.Items {
		if (namespace == "" || item.GetNamespace() == namespace) && (named == "" || item.GetName() == named) && selector.Matches(labels.Set(item.GetLabels())) {
			items = append(items, shown(r, item.Object, "PartialObjectMetadata"))
		}
	}
	whole := map[string]any{"apiVersion": list.GetAPIVersion(), "kind": list.GetKind(), "metadata": map[string]any{}, "items": items}
	return shown(r, whole, "PartialObjectMetadataList")
}

// shown is an object, or as much of it as is asked for.
func shown(r *http.Request, object map[string]any, partial string) map[string]any {
	if !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") {
		return object
	}
	out := map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": partial, "metadata": object["metadata"]}
	if items, ok := object["items"]; ok {
		out["items"] = items
	}
	return out
}

// discover says what there is.
func (o objects) discover(path string) any {
	switch path {
	case "api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case "apis":
		groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for gvr := range o {
			version := metav1.GroupVersionForDiscovery{GroupVersion: gvr.GroupVersion().String(), Version: gvr.Version}
			known := slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == gvr.Group })
			if gvr.Group != "" && !known {
				groups.Groups = append(groups.Groups, metav1.APIGroup{Name: gvr.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version})
			}
		}
		return groups
	}
	resources := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: strings.TrimPrefix(strings.TrimPrefix(path, "apis/"), "api/")}
	for gvr, list := range o {
		if gvr.GroupVersion().String() != resources.GroupVersion {
			continue
		}
		resources.APIResources = append(resources.APIResources, metav1.APIResource{
			Name: gvr.Resource, SingularName: strings.ToLower(strings.TrimSuffix(list.GetKind(), "List")), Kind: strings.TrimSuffix(list.GetKind(), "List"), Verbs: metav1.Verbs{"get", "list"},
			Namespaced: slices.ContainsFunc(list.Items, func(u unstructured.Unstructured) bool { return u.GetNamespace() != "" }),
		})
	}
	return resources
}

func refuse(w http.ResponseWriter, gvr schema.GroupVersionResource, name string) {
	fail(w, apierrors.NewNotFound(gvr.GroupResource(), name))
}

func fail(w http.ResponseWriter, why *apierrors.StatusError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(why.Status().Code))
	_ = json.NewEncoder(w).Encode(why.Status()) // the client has gone away if this fails
}

func reply(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object) // the client has gone away if this fails
}

func kubeconfig(url string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
contexts: [{name: c, context: {cluster: c, user: c}}]
users: [{name: c, user: {}}]
current-context: c
`, url)
}
