package twin

import (
	"testing"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/version"
	celplugin "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"forewarm.dev/webhook"
)

// TestOldestServer: Kubernetes 1.31 takes new expressions of what 1.30 had, and every one of the
// policies is of that.
func TestOldestServer(t *testing.T) {
	base := environment.MustBaseEnvSet(version.MajorMinor(1, 30))
	cluster := int64(9)
	for _, p := range Policies(Options{Cluster: &cluster, Instances: "p4d.*", Excluded: []string{"kube-system"}, Autoscalers: []string{"hpa"}, Kinds: webhook.Kinds(), Pools: map[string]Pool{"a": {}}}) {
		compiler, err := celplugin.NewCompositedCompiler(base)
		if err != nil {
			t.Fatal(err)
		}
		options := celplugin.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
		for _, v := range p.Spec.Variables {
			if r := compiler.CompileAndStoreVariable(accessor{v.Name, v.Expression, []*cel.Type{cel.AnyType, cel.DynType}}, options, environment.NewExpressions); r.Error != nil {
				t.Errorf("%s, variable %s: %v", p.Name, v.Name, r.Error)
			}
		}
		var expressions []celplugin.ExpressionAccessor
		for _, c := range p.Spec.MatchConditions {
			expressions = append(expressions, accessor{c.Name, c.Expression, []*cel.Type{cel.BoolType}})
		}
		for _, v := range p.Spec.Validations {
			expressions = append(expressions, accessor{"validation", v.Expression, []*cel.Type{cel.BoolType}}, accessor{"message", v.MessageExpression, []*cel.Type{cel.StringType}})
		}
		for _, a := range p.Spec.AuditAnnotations {
			expressions = append(expressions, accessor{a.Key, a.ValueExpression, []*cel.Type{cel.StringType, cel.NullType}})
		}
		if len(expressions) < 2 {
			t.Errorf("%s: %d expressions", p.Name, len(expressions))
		}
		for _, err := range compiler.CompileCondition(expressions, options, environment.NewExpressions).CompilationErrors() {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}
