package twin

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"testing"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	celplugin "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
)

// evaluator is a policy, compiled as the API server does.
type evaluator struct {
	name                            string
	conditions, validation, message celplugin.ConditionEvaluator
}

// accessor is one of a policy's.
type accessor struct {
	name, text string
	types      []*cel.Type
}

func (e accessor) GetName() string          { return e.name }
func (e accessor) GetExpression() string    { return e.text }
func (e accessor) ReturnTypes() []*cel.Type { return e.types }

func compile(t testing.TB, p admissionregistrationv1.ValidatingAdmissionPolicy) evaluator {
	t.Helper()
	compiler, err := celplugin.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	options := celplugin.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	for _, v := range p.Spec.Variables {
		if r := compiler.CompileAndStoreVariable(accessor{v.Name, v.Expression, []*cel.Type{cel.AnyType, cel.DynType}}, options, environment.StoredExpressions); r.Error != nil {
			t.Fatalf("%s, variable %s: %v\n%s", p.Name, v.Name, r.Error, v.Expression)
		}
	}
	var conditions []celplugin.ExpressionAccessor
	for _, c := range p.Spec.MatchConditions {
		conditions = append(conditions, accessor{c.Name, c.Expression, []*cel.Type{cel.BoolType}})
	}
	validation := p.Spec.Validations[0]
	e := evaluator{
		name:       p.Name,
		conditions: compiler.CompileCondition(conditions, options, environment.StoredExpressions),
		validation: compiler.CompileCondition([]celplugin.ExpressionAccessor{accessor{"validation", validation.Expression, []*cel.Type{cel.BoolType}}}, options, environment.StoredExpressions),
		message:    compiler.CompileCondition([]celplugin.ExpressionAccessor{accessor{"message", validation.MessageExpression, []*cel.Type{cel.StringType}}}, celplugin.OptionalVariableDeclarations{HasParams: options.HasParams}, environment.StoredExpressions),
	}
	for _, err := range append(append(e.conditions.CompilationErrors(), e.validation.CompilationErrors()...), e.message.CompilationErrors()...) {
		t.Fatalf("%s: %v", p.Name, err)
	}
	return e
}

// input is one write.
type input struct {
	operation   admission.Operation
	resource    schema.GroupVersionResource
	subresource string
	name        string
	// user writes; empty means somebody.
	user        string
	object, old map[string]any
	namespace   *corev1.Namespace
	params      runtime.Object
	may         authorizer.UnconditionalAuthorizer
}

// allows says whether the policy lets a write through, and else what it says. An expression
// that fails is a bug: they are total.
func (e evaluator) allows(t testing.TB, in input) (bool, string) {
	t.Helper()
	kind := schema.GroupVersionKind{Version: "v1", Kind: "X"} // of all, so that nothing is converted
	wrap := func(o map[string]any) runtime.Object {
		if o == nil {
			return nil
		}
		u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o)}
		u.SetGroupVersionKind(kind)
		return u
	}
	namespace := ""
	if in.namespace != nil {
		namespace = in.namespace.Name
	}
	attributes := admission.NewAttributesRecord(wrap(in.object), wrap(in.old), kind, namespace, in.name, in.resource, in.subresource, in.operation, nil, false, &user.DefaultInfo{Name: cmp.Or(in.user, "somebody")})
	versioned, err := admission.NewVersionedAttributes(attributes, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	request := celplugin.CreateAdmissionRequest(attributes, metav1.GroupVersionResource(in.resource), metav1.GroupVersionKind(kind))
	bindings := celplugin.OptionalVariableBindings{VersionedParams: in.params, Authorizer: in.may}
	w := write{versioned, request, bindings, in.namespace}
	matched, all := e.run(t, e.conditions, w), true
	for _, m := range matched {
		all = all && m
	}
	if !all || e.run(t, e.validation, w)[0] {
		return true, ""
	}
	said, _, err := e.message.ForInput(context.Background(), versioned, request, bindings, in.namespace, math.MaxInt64)
	if err != nil || said[0].Error != nil {
		t.Fatalf("%s: message: %v %v", e.name, err, said[0].Error)
	}
	return false, said[0].EvalResult.Value().(string)
}

// write is what expressions are evaluated on.
type write struct {
	versioned *admission.VersionedAttributes
	request   *admissionv1.AdmissionRequest
	bindings  celplugin.OptionalVariableBindings
	namespace *corev1.Namespace
}

func (e evaluator) run(t testing.TB, evaluator celplugin.ConditionEvaluator, w write) []bool {
	t.Helper()
	results, _, err := evaluator.ForInput(context.Background(), w.versioned, w.request, w.bindings, w.namespace, math.MaxInt64)
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	var out []bool
	for _, r := range results {
		if r.Error != nil {
			body, _ := json.Marshal(w.request)
			t.Fatalf("%s: expressions are not total: %v\n%s", e.name, r.Error, body)
		}
		out = append(out, r.EvalResult.Value().(bool))
	}
	return out
}
