package v1alpha1_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
)

// crd is one of manifests/crd, read as the API server reads it.
type crd struct {
	structural *schema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

// crds are all of manifests/crd by kind.
func crds(t *testing.T) map[string]crd {
	t.Helper()
	files, err := filepath.Glob("../../manifests/crd/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("manifests/crd: %d files, %v", len(files), err)
	}
	found := map[string]crd{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &definition); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var props apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		structural, err := schema.NewStructural(&props)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		validator, _, err := validation.NewSchemaValidator(&props)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found[definition.Spec.Names.Kind] = crd{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
	}
	return found
}

// refusals are what the API server would say of an object, on the way from old where that is not nil.
func (c crd) refusals(t *testing.T, object, old map[string]any) string {
	t.Helper()
	errs := validation.ValidateCustomResource(nil, object, c.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, c.structural, object)...)
	if len(errs) == 0 {
		// As the API server does it: rules see only what the schema lets in. An untyped nil is no old object.
		var before any
		if old != nil {
			before = old
		}
		errs, _ = c.rules.Validate(t.Context(), nil, c.structural, object, before, celconfig.RuntimeCELCostBudget)
	}
	if len(errs) == 0 {
		return ""
	}
	return errs.ToAggregate().Error()
}

// pruned are the paths of an object that the API server would drop, since the schema does not know them.
func (c crd) pruned(object map[string]any) []string {
	return pruning.PruneWithOptions(object, c.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}

// defaulted adds what the API server adds.
func (c crd) defaulted(object map[string]any) map[string]any {
	defaulting.Default(object, c.structural)
	return object
}

// kinds are those of the Go types, without the lists.
func kinds(t *testing.T) map[string]reflect.Type {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	types := scheme.KnownTypes(v1alpha1.GroupVersion)
	maps.DeleteFunc(types, func(kind string, goType reflect.Type) bool {
		return strings.HasSuffix(kind, "List") || goType.PkgPath() != reflect.TypeFor[v1alpha1.WarmPool]().PkgPath()
	})
	return types
}

// asJSON is what a client sends of a Go object.
func asJSON(t *testing.T, object any) map[string]any {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return fromJSON(t, text)
}

// fromJSON reads numbers as the API server does, whole ones as int64.
func fromJSON(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal(text, &object, func(d *json.Decoder) *json.Decoder { d.UseNumber(); return d }); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return whole(object).(map[string]any)
}

func whole(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return value
}

// merged is an object with a merge patch (RFC 7396) applied.
func merged(t *testing.T, object map[string]any, patch string) map[string]any {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	text, err = jsonpatch.MergePatch(text, []byte(patch))
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	return fromJSON(t, text)
}

// properties calls visit for each value of a schema, parents first, with its path: a.b[].c{}.
func properties(s *schema.Structural, path string, visit func(path string, s *schema.Structural)) {
	visit(path, s)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		properties(&property, strings.TrimPrefix(path+"."+name, "."), visit)
	}
	if s.Items != nil {
		properties(s.Items, path+"[]", visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		properties(s.AdditionalProperties.Structural, path+"{}", visit)
	}
}
