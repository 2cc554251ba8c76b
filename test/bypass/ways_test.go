package bypass

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// manager owns what is applied.
const manager = "bypass"

// way is how a client writes an object.
type way struct {
	// column is its column on the page; ways may share one.
	column, name string
	// makes is true where every write makes a new object.
	makes bool
	// applies is true where the object was made by server-side apply too.
	applies bool
	// other writes through another API version.
	other bool
	// scale writes the number alone, status a status with what the object asks for.
	scale, status bool
	// native is for kinds of Kubernetes only.
	native bool
	// once is true where the way need not be tried again under the ceiling of a Namespace,
	// which differs in what the webhook reads, not in what it is asked.
	once  bool
	write func(context.Context, dynamic.ResourceInterface, change) (*unstructured.Unstructured, error)
}

// change is what is written.
type change struct {
	// stored is the object as it stands, nil where it is new.
	stored *unstructured.Unstructured
	// before and after are what the client asked for last, and asks for now.
	before, after *unstructured.Unstructured
	// n is the number of the row.
	n int64
}

// ways are all ways, in the order of the page.
func ways() []way {
	return []way{
		{column: "create", name: "create", makes: true, write: create},
		{column: "apply anew", name: "apply anew", once: true, makes: true, write: apply},
		{column: "update", name: "update", write: update},
		{column: "merge patch", name: "merge patch", once: true, write: patchMerge},
		{column: "JSON patch", name: "JSON patch", once: true, write: patchJSON},
		{column: "strategic patch", name: "strategic patch", once: true, native: true, write: patchStrategic},
		{column: "apply", name: "apply", applies: true, write: apply},
		{column: "other version", name: "create in another version", once: true, other: true, makes: true, write: create},
		{column: "other version", name: "update in another version", once: true, other: true, write: update},
		{column: "other version", name: "merge patch in another version", other: true, write: patchMerge},
		{column: "other version", name: "apply in another version", once: true, other: true, applies: true, write: apply},
		{column: "other version", name: "scale patch in another version", once: true, other: true, scale: true, write: patchScale},
		{column: "scale update", name: "scale update", once: true, scale: true, write: updateScale},
		{column: "scale patch", name: "scale patch", scale: true, write: patchScale},
		{column: "status", name: "status", once: true, status: true, write: updateStatus},
	}
}

// fits says whether a row can be written this way.
func (w way) fits(s subject, r row) bool {
	switch {
	case w.other && len(s.others) == 0, w.native && !s.native, w.scale && !r.scaled:
		return false
	default:
		return w.scale || !s.onlyScale
	}
}

func create(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	return api.Create(ctx, c.after, metav1.CreateOptions{})
}

func apply(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	return api.Apply(ctx, c.after.GetName(), c.after, metav1.ApplyOptions{FieldManager: manager, Force: true})
}

func update(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	edited, err := c.edited()
	if err != nil {
		return nil, err
	}
	return api.Update(ctx, edited, metav1.UpdateOptions{})
}

func patchMerge(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	return c.patch(ctx, api, types.MergePatchType)
}

func patchStrategic(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	return c.patch(ctx, api, types.StrategicMergePatchType)
}

// patch sends the difference, which means the same in both types as long as it has no list.
func (c change) patch(ctx context.Context, api dynamic.ResourceInterface, as types.PatchType) (*unstructured.Unstructured, error) {
	difference, err := c.difference()
	if err != nil {
		return nil, err
	}
	return api.Patch(ctx, c.after.GetName(), as, difference, metav1.PatchOptions{})
}

func patchJSON(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	edited, err := c.edited()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(operations("", c.stored.Object, edited.Object))
	if err != nil {
		return nil, err
	}
	return api.Patch(ctx, c.after.GetName(), types.JSONPatchType, body, metav1.PatchOptions{})
}

func updateScale(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	scale := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": map[string]any{"name": c.after.GetName(), "namespace": c.after.GetNamespace()},
		"spec": map[string]any{"replicas": c.n},
	}}
	if _, err := api.Update(ctx, scale, metav1.UpdateOptions{}, "scale"); err != nil {
		return nil, err
	}
	return api.Get(ctx, c.after.GetName(), metav1.GetOptions{})
}

func patchScale(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	body := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, c.n)
	if _, err := api.Patch(ctx, c.after.GetName(), types.MergePatchType, body, metav1.PatchOptions{}, "scale"); err != nil {
		return nil, err
	}
	return api.Get(ctx, c.after.GetName(), metav1.GetOptions{})
}

func updateStatus(ctx context.Context, api dynamic.ResourceInterface, c change) (*unstructured.Unstructured, error) {
	edited, err := c.edited()
	if err != nil {
		return nil, err
	}
	return api.UpdateStatus(ctx, edited, metav1.UpdateOptions{})
}

// difference is the merge patch from before to after.
func (c change) difference() ([]byte, error) {
	before, err := json.Marshal(c.before)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(c.after)
	if err != nil {
		return nil, err
	}
	return jsonpatch.CreateMergePatch(before, after)
}

// edited is what is stored with the difference.
func (c change) edited() (*unstructured.Unstructured, error) {
	difference, err := c.difference()
	if err != nil {
		return nil, err
	}
	stored, err := json.Marshal(c.stored)
	if err != nil {
		return nil, err
	}
	if stored, err = jsonpatch.MergePatch(stored, difference); err != nil {
		return nil, err
	}
	edited := &unstructured.Unstructured{}
	return edited, edited.UnmarshalJSON(stored)
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// operations lead from one object to another, each as deep as can be.
func operations(path string, from, to map[string]any) []operation {
	var out []operation
	for _, name := range slices.Sorted(maps.Keys(from)) {
		if _, kept := to[name]; !kept {
			out = append(out, operation{Op: "remove", Path: pointer(path, name)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(to)) {
		before, present := from[name]
		if !present {
			out = append(out, operation{"add", pointer(path, name), to[name]})
			continue
		}
		out = append(out, between(pointer(path, name), before, to[name])...)
	}
	return out
}

func between(path string, before, after any) []operation {
	if reflect.DeepEqual(before, after) {
		return nil
	}
	from, was := before.(map[string]any)
	to, is := after.(map[string]any)
	if was && is {
		return operations(path, from, to)
	}
	old, wasList := before.([]any)
	list, isList := after.([]any)
	if !wasList || !isList || len(old) != len(list) {
		return []operation{{"replace", path, after}}
	}
	var out []operation
	for i := range list {
		out = append(out, between(fmt.Sprintf("%s/%d", path, i), old[i], list[i])...)
	}
	return out
}

func pointer(path, name string) string {
	return path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
