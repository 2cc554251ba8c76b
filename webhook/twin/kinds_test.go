package twin

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// fill puts numbers and booleans where an expression reads them, at times none.
func fill(random *rand.Rand, object map[string]any, text string) {
	for term := range strings.SplitSeq(text, " + ") {
		elements := []map[string]any{object}
		for _, open := range []string{"[]: ", "{}: "} {
			if at, product, found := strings.Cut(term, open); found {
				term, elements = product, members(random, object, at, open[0] == '[')
				break
			}
		}
		for factor := range strings.SplitSeq(term, " * ") {
			word, inner, applied := strings.Cut(strings.TrimSuffix(factor, ")"), "(")
			if !applied {
				inner = word
			}
			for value := range strings.SplitSeq(inner, ", ") {
				at, _, _ := strings.Cut(value, "=")
				for _, element := range elements {
					if rest, root := strings.CutPrefix(at, "/"); root {
						put(random, object, rest, applied && word != "min" && word != "max")
					} else {
						put(random, element, at, applied && word != "min" && word != "max")
					}
				}
			}
		}
	}
}

// members makes the elements at a path, where there are none yet.
func members(random *rand.Rand, object map[string]any, at string, list bool) []map[string]any {
	holder, last := inner(object, at)
	if _, there := holder[last]; !there && random.IntN(5) > 0 {
		var elements []any
		for range random.IntN(3) {
			elements = append(elements, map[string]any{})
		}
		holder[last] = elements
		if !list {
			named := map[string]any{}
			for i, e := range elements {
				named[string(rune('A'+i))] = e
			}
			holder[last] = named
		}
	}
	var out []map[string]any
	switch there := holder[last].(type) {
	case []any:
		for _, e := range there {
			out = append(out, e.(map[string]any))
		}
	case map[string]any:
		for _, e := range there {
			out = append(out, e.(map[string]any))
		}
	}
	return out
}

func inner(object map[string]any, at string) (holder map[string]any, last string) {
	names := strings.Split(at, ".")
	for _, name := range names[:len(names)-1] {
		next, ok := object[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			object[name] = next
		}
		object = next
	}
	return object, names[len(names)-1]
}

func put(random *rand.Rand, object map[string]any, at string, boolean bool) {
	if random.IntN(4) == 0 || len(at) == 1 {
		return // absent, or a constant
	}
	holder, last := inner(object, at)
	switch {
	case boolean:
		holder[last] = random.IntN(3) == 0
	case random.IntN(12) == 0:
		holder[last] = pick(random, []any{int64(-1), 3.0, int64(2147483647)})
	default:
		holder[last] = int64(random.IntN(5))
	}
}

// filled is an object of a kind.
func filled(random *rand.Rand, kind webhook.Kind) map[string]any {
	out := map[string]any{}
	for _, c := range kind.Counts {
		fill(random, out, c.Of.String())
	}
	return out
}

// counted are the kinds of the table that the twin holds, and one of an admin's own.
func counted() []webhook.Kind { return Options{Kinds: table()}.held() }

func table() []webhook.Kind {
	count, err := expression.Parse("2 + spec.my-groups[]: max(replicas=1, in.use=0) * is(/spec.on) * not(off)")
	if err != nil {
		panic(err)
	}
	return append(webhook.Kinds(), webhook.Kind{
		Group: "example.com", Version: "v1", Resource: "farms", Name: "Farm", Measure: webhook.Replicas, Counts: []webhook.Count{{Field: "groups", Of: count}},
	})
}

// TestInstances: Go and CEL agree on which instance types a write may allow.
func TestInstances(t *testing.T) {
	compiled, seen := map[string][]evaluator{}, map[webhook.Reason]int{}
	for seed := range uint64(1500) {
		random := rand.New(rand.NewPCG(seed, 3))
		cluster := pick(random, []string{"", "m5.*", "g5.xlarge, m5.*"})
		if compiled[cluster] == nil {
			o := Options{Instances: cluster, Kinds: webhook.Kinds(), Pools: map[string]Pool{"a100": {Instances: "g5.*"}, "lax": {Instances: "g5.*", Relaxed: true}}}
			for _, p := range Policies(o)[2:] {
				compiled[cluster] = append(compiled[cluster], compile(t, p))
			}
		}
		seen[differOnInstances(t, compiled[cluster], cluster, random)]++
	}
	for _, reason := range []webhook.Reason{webhook.ReasonUnapprovedInstanceType, webhook.ReasonNotPermitted, webhook.ReasonNotGrowing} {
		if seen[reason] < 100 {
			t.Errorf("%s came up %d times: the draw says little", reason, seen[reason])
		}
	}
}

// selecting is an object of a kind that selects instance types.
func selecting(random *rand.Rand, s expression.Selection, annotations map[string]*string) map[string]any {
	object := map[string]any{"metadata": map[string]any{"name": "x"}}
	for key, value := range annotations {
		if value != nil {
			at, _ := inner(object, "metadata.annotations.x")
			at[key] = *value
		}
	}
	types := []any{"m5.large", "m5.xlarge", "g5.xlarge", "g5.2xlarge", "p4d.24xlarge"}
	var requirements []any
	for range random.IntN(4) {
		r := map[string]any{"key": pick(random, []string{expression.InstanceTypeLabel, expression.InstanceFamilyLabel, "zone"}), "operator": pick(random, []string{"In", "In", "NotIn", "Exists"})}
		if r["key"] == expression.InstanceFamilyLabel {
			r["values"] = []any{pick(random, []any{"m5", "g5", "p4d"})}
		} else if random.IntN(6) > 0 {
			r["values"] = []any{pick(random, types), pick(random, types)}
		}
		requirements = append(requirements, r)
	}
	if requirements != nil {
		holder, last := inner(object, s.Requirements)
		holder[last] = requirements
	}
	if s.Labels != "" && random.IntN(4) == 0 {
		holder, last := inner(object, s.Labels)
		holder[last] = map[string]any{expression.InstanceTypeLabel: pick(random, types)}
	}
	return object
}

// differOnInstances compares both verdicts on one write.
func differOnInstances(t *testing.T, compiled []evaluator, cluster string, random *rand.Rand) webhook.Reason {
	t.Helper()
	lists := values("m5.*", "g5.*,m5.large", "*", "m5.xlarge")
	modes := values("enforce", "warn", "audit")
	kind := pick(random, []webhook.Kind{webhook.NodeClaims, kindOf("nodepools"), kindOf("nodepools"), kindOf("warmpools")})
	own, oldOwn, mode, oldMode := pick(random, lists), pick(random, lists), pick(random, modes), pick(random, modes)
	if random.IntN(2) == 0 {
		oldOwn, oldMode = own, mode
	}
	in := input{
		operation: pick(random, []admission.Operation{admission.Create, admission.Update}), name: "x", may: grants(random.IntN(2) == 0),
		resource: schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: kind.Resource},
		object:   selecting(random, *kind.Instances, map[string]*string{webhook.AllowedInstanceTypes: own, webhook.CeilingMode: mode}),
		old:      selecting(random, *kind.Instances, map[string]*string{webhook.AllowedInstanceTypes: oldOwn, webhook.CeilingMode: oldMode}),
	}
	object := webhook.Object{Kind: kind.Name, Name: "x"}
	setting := func(value *string) webhook.Setting {
		s := webhook.Setting{On: object, Annotation: webhook.AllowedInstanceTypes}
		if value != nil {
			s.Set, s.Value = true, *value
		}
		return s
	}
	r := webhook.Request{Object: object, Create: in.operation == admission.Create, May: map[webhook.Verb]bool{webhook.Set: bool(in.may.(grants))}, Instances: &webhook.Instances{}}
	policies := compiled[:2]
	switch {
	case kind.Resource == "nodeclaims":
		in.operation, in.old, r.Create = admission.Create, nil, true
		policies = compiled[2:]
		pool := pick(random, []string{"", "a100", "lax", "other"})
		holder, last := inner(in.object, "metadata.labels")
		holder[last] = map[string]any{"karpenter.sh/nodepool": pool}
		list := "g5.*"
		switch pool {
		case "a100":
			r.Instances.Lists = []webhook.Setting{setting(&list)}
		case "lax":
			r.Instances.Lists, r.Mode = []webhook.Setting{setting(&list)}, webhook.Warn
		}
	case r.Create:
		in.old = nil
		r.Instances.Lists = []webhook.Setting{setting(own)}
		r.Rewritten = map[string]webhook.Rewrite{webhook.AllowedInstanceTypes: {New: own}, webhook.CeilingMode: {New: mode}}
		if mode != nil {
			r.Mode, _ = webhook.ParseMode(*mode)
		}
	default:
		r.Instances.Lists, r.Instances.Old = []webhook.Setting{setting(own), setting(oldOwn)}, kind.Instances.Of(any(in.old))
		r.Rewritten = map[string]webhook.Rewrite{webhook.AllowedInstanceTypes: {New: own, Old: oldOwn}, webhook.CeilingMode: {New: mode, Old: oldMode}}
		if mode != nil && oldMode != nil && *mode == *oldMode {
			r.Mode, _ = webhook.ParseMode(*mode)
		}
	}
	r.Instances.New = kind.Instances.Of(any(in.object))
	if kind.Instances.Asks && cluster != "" {
		r.Instances.Lists = append(r.Instances.Lists, setting(&cluster))
	}
	want, got, message := webhook.Ceilings().Review(r), true, ""
	for _, p := range policies {
		if got {
			got, message = p.allows(t, in)
		}
	}
	if got != (want.Verdict == webhook.Allow) {
		t.Fatalf("%s %s: Go: %s %s (%s)\nCEL: allowed %t (%s)\nobject %v\nbefore %v\ncluster %q", in.operation, kind.Name, want.Verdict, want.Reason, want.Message, got, message, in.object, in.old, cluster)
	}
	return want.Reason
}

func kindOf(resource string) webhook.Kind {
	for _, k := range webhook.Kinds() {
		if k.Resource == resource {
			return k
		}
	}
	panic(resource)
}

// operating lets one ServiceAccount update the finalizers of an object of a resource in Namespace team.
type operating struct{ account, resource, name string }

func (o operating) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	got := []string{a.GetVerb(), a.GetResource() + "." + a.GetAPIGroup(), a.GetSubresource(), a.GetNamespace(), a.GetName(), a.GetUser().GetName()}
	if slices.Equal(got, []string{"update", o.resource, "finalizers", "team", o.name, o.account}) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// TestOwned: what a controller says that another owns passes; what a person says does not, nor what a
// ServiceAccount says that is no operator, wherever it is.
func TestOwned(t *testing.T) {
	compiled := compileAll(t, Options{Cluster: new(int64(2)), Kinds: webhook.Kinds()})
	const rollouts = "system:serviceaccount:argo-rollouts:argo-rollouts"
	owner := func(apiVersion, kind string) map[string]any {
		return map[string]any{"apiVersion": apiVersion, "kind": kind, "name": "web", "uid": "u-1", "controller": true}
	}
	rollout, deployment := owner("argoproj.io/v1alpha1", "Rollout"), owner("apps/v1", "Deployment")
	cases := map[string]struct {
		user  string
		owner map[string]any
		want  bool
	}{
		"a person":                            {"jane", deployment, false},
		"a person who looks like one of them": {"jane:system:", deployment, false},
		"an account of the namespace":         {"system:serviceaccount:team:default", deployment, false},
		"an account of another namespace":     {"system:serviceaccount:mine:ci", deployment, false},
		"one whose namespace begins alike":    {"system:serviceaccount:kube-system-2:ci", deployment, false},
		"a controller":                        {"system:serviceaccount:kube-system:deployment-controller", deployment, true},
		"the controller manager":              {"system:kube-controller-manager", deployment, true},
		"an operator":                         {rollouts, rollout, true},
		"an operator of other objects":        {rollouts, deployment, false},
		"a kind that is none":                 {"system:kube-controller-manager", owner("example.com/v1", "Farm"), false},
		"a kind of another group":             {"system:kube-controller-manager", owner("example.com/v1", "Deployment"), false},
		"a pod that leads the group":          {"system:kube-controller-manager", map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": "u-1", "controller": true}, true},
		"a pod that leads another group":      {"system:kube-controller-manager", map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "web-2", "uid": "u-1", "controller": true}, false},
		"a pod, by an account elsewhere":      {"system:serviceaccount:mine:ci", map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": "u-1", "controller": true}, false},
		"no controller":                       {"system:kube-controller-manager", map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-1"}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := input{
				operation: admission.Create, name: "web-1", user: c.user,
				resource:  schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"},
				object:    map[string]any{"metadata": map[string]any{"name": "web-1", "ownerReferences": []any{c.owner}}, "spec": map[string]any{"replicas": int64(3)}},
				namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, may: operating{rollouts, "rollouts.argoproj.io", "web"},
			}
			if got, message := compiled[0].allows(t, in); got != c.want {
				t.Errorf("allowed %t (%s), want %t", got, message, c.want)
			}
		})
	}
}

// TestReadKeepsWhatCannotBeRead: a typo on kube-system lifts nothing that was known before.
func TestReadKeepsWhatCannotBeRead(t *testing.T) {
	last := Options{Cluster: new(int64(4)), Instances: "m5.*"}
	var o Options
	if o.read(map[string]string{webhook.MaxReplicas: "many", webhook.AllowedInstanceTypes: "("}, last) || o.Cluster == nil || *o.Cluster != 4 || o.Instances != "m5.*" {
		t.Errorf("malformed: got %+v, want what was known", o)
	}
	var removed Options
	if !removed.read(nil, last) || removed.Cluster != nil || removed.Instances != "" {
		t.Errorf("removed: got %+v, want nothing", removed)
	}
}
