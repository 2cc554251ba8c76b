package v1alpha1_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
)

// words are values of text fields that take not just any, by their names in JSON.
var words = map[string]string{
	"mode": "Approve", "borrow": "Never", "drain": "Always", "model": "Combined", "leadTime": "6m", "day": "2026-11-24", "coming": "Create",
	"status": "True", "type": "Ready", "reason": "Reserved", "key": "zone",
}

// fill gives a value to every field below v: none is zero, so that none is left out of the JSON.
func fill(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	at := time.Date(2026, 11, 24, 14, 30, 0, 0, time.UTC)
	switch v.Addr().Interface().(type) {
	case *metav1.Time:
		v.Set(reflect.ValueOf(metav1.NewTime(at)))
		return
	case *metav1.MicroTime:
		v.Set(reflect.ValueOf(metav1.NewMicroTime(at.Add(time.Microsecond))))
		return
	case *metav1.Duration:
		hours := map[string]time.Duration{"retrainEvery": 24, "history": 24}
		v.Set(reflect.ValueOf(metav1.Duration{Duration: max(1, hours[name]) * time.Hour}))
		return
	case *resource.Quantity:
		v.Set(reflect.ValueOf(resource.MustParse("1")))
		return
	case *metav1.ObjectMeta:
		v.Set(reflect.ValueOf(metav1.ObjectMeta{Name: "full"}))
		return
	case *v1alpha1.LedgerHolder:
		v.Set(reflect.ValueOf(v1alpha1.LedgerHolder{Kind: "Namespace", Name: "team-a"}))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			field, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			fill(t, v.Field(i), field)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), name)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, "")
		fill(t, value, "")
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("1") // a name and a decimal number
		if word := words[name]; word != "" {
			v.SetString(word)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	default:
		t.Fatalf("no value for a %s: add one here", v.Type())
	}
}

// full is an object of a kind with a value in every field.
func full(t *testing.T, kind string, goType reflect.Type) any {
	t.Helper()
	object := reflect.New(goType)
	fill(t, object.Elem(), "")
	object.Elem().FieldByName("TypeMeta").Set(reflect.ValueOf(metav1.TypeMeta{Kind: kind, APIVersion: v1alpha1.GroupVersion.String()}))
	return object.Interface()
}

// valid is the JSON of a full object less what the kind's fields exclude of each other.
func valid(t *testing.T, kind string) map[string]any {
	t.Helper()
	object := asJSON(t, full(t, kind, kinds(t)[kind]))
	if kind == "DemandEvent" {
		return merged(t, object, `{"spec":{"percent":null,"freeze":null}}`)
	}
	return object
}

// Each field of a Go type is one of its CRD and the other way round: none is dropped by the API
// server, and none that a user may write is unknown to our processes.
func TestGoTypesAndCRDsAgree(t *testing.T) {
	definitions, types := crds(t), kinds(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(types)), slices.Sorted(maps.Keys(definitions))); diff != "" {
		t.Fatalf("kinds of Go types (-) and of manifests/crd (+): %s", diff)
	}
	for kind, goType := range types {
		t.Run(kind, func(t *testing.T) {
			c, object := definitions[kind], full(t, kind, goType)
			stored := asJSON(t, object)
			if dropped := c.pruned(stored); len(dropped) > 0 {
				t.Errorf("the CRD does not have %v: run make generate", dropped)
			}
			written := map[string]bool{}
			paths(stored, "", written)
			properties(c.structural, "", func(path string, _ *schema.Structural) {
				if !written[path] {
					t.Errorf("the Go type does not have %s", path)
				}
			})
			text, err := yaml.Marshal(stored)
			if err != nil {
				t.Fatal(err)
			}
			read := reflect.New(goType).Interface()
			if err := yaml.UnmarshalStrict(text, read); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(object, read); diff != "" {
				t.Errorf("written and read again (-want +got): %s", diff)
			}
			object = valid(t, kind)
			if refusals := c.refusals(t, object.(map[string]any), nil); refusals != "" {
				t.Errorf("a full object is refused: %s", refusals)
			}
		})
	}
}

// paths adds those of all values of an object, as properties names them.
func paths(value any, path string, into map[string]bool) {
	into[path] = true
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			paths(v[name], strings.TrimPrefix(path+"."+name, "."), into)
			paths(v[name], path+"{}", into)
		}
	case []any:
		for _, item := range v {
			paths(item, path+"[]", into)
		}
	}
}

func TestSamplesAreValid(t *testing.T) {
	definitions, types := crds(t), kinds(t)
	files, err := filepath.Glob("../../manifests/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			object := fromJSON(t, document)
			if object["apiVersion"] != v1alpha1.GroupVersion.String() {
				continue
			}
			kind := object["kind"].(string)
			c := definitions[kind]
			seen[kind] = true
			if dropped := c.pruned(object); len(dropped) > 0 {
				t.Errorf("%s: the CRD does not have %v", file, dropped)
			}
			if refusals := c.refusals(t, c.defaulted(object), nil); refusals != "" {
				t.Errorf("%s: %s", file, refusals)
			}
			// What our processes read is what they write back, and the API server takes that too.
			read := reflect.New(types[kind]).Interface()
			if err := yaml.UnmarshalStrict(document, read); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if refusals := c.refusals(t, asJSON(t, read), nil); refusals != "" {
				t.Errorf("%s, read and written again: %s", file, refusals)
			}
		}
	}
	for _, kind := range []string{"WarmPool", "DemandEvent"} { // those that people write
		if !seen[kind] {
			t.Errorf("no %s in manifests/samples", kind)
		}
	}
}

// smallest is a WarmPool with what must be written, and an approval that leaves its fields out.
const smallest = `
apiVersion: forewarm.dev/v1alpha1
kind: WarmPool
metadata: {name: a100}
spec:
  nodes: {selector: {matchLabels: {karpenter.sh/nodepool: a100}}}
  demand: {resource: nvidia.com/gpu}
  chunks:
  - {name: node, requests: {nvidia.com/gpu: 8}, waitCostPerHour: "400", idleCostPerHour: "24", max: 4}
  approval: {}
`

func TestDefaults(t *testing.T) {
	c := crds(t)["WarmPool"]
	got := c.defaulted(fromJSON(t, []byte(smallest)))
	want := merged(t, fromJSON(t, []byte(smallest)), `{"spec": {
		"borrow": "WhenIdle",
		"mode": "Observe",
		"approval": {"validFor": "1h"},
		"demand": {"namespaceSelector": {}, "podSelector": {}, "future": {"namespaceSharePercent": 25}},
		"forecast": {"interval": "1m", "history": "672h", "model": "Auto", "retrainEvery": "168h"},
		"sizing": {"leadTime": "Auto", "hold": "10m", "minBilling": "0s"}
	}}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got): %s", diff)
	}
	if refusals := c.refusals(t, got, nil); refusals != "" {
		t.Errorf("with its defaults it is refused: %s", refusals)
	}
	// Only what people write has defaults; a field that says which is its default says it rightly.
	for kind, c := range crds(t) {
		properties(c.structural, "", func(path string, s *schema.Structural) {
			if s.Default.Object != nil && kind != "WarmPool" {
				t.Errorf("%s has a default at %s: test it here", kind, path)
			}
			value, isText := s.Default.Object.(string)
			if isText && strings.Contains(s.Description, "the default)") && !strings.Contains(s.Description, value+" (") {
				t.Errorf("%s: %s, but it is %s", path, s.Description, value)
			}
		})
	}
}
