package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission"
	admissioncel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/utils/ptr"

	"forewarm.dev/internal/config"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/sources"
)

// matches evaluates conditions for a person who writes.
func matches(t *testing.T, conditions []admissionregistrationv1.MatchCondition, resource, object, old string) bool {
	t.Helper()
	return matchesBy(t, conditions, object, old, writer{resource: resource, user: "jane"})
}

// matchesBy evaluates conditions as the API server does. Under failurePolicy Fail an error in a
// condition is an error here, instead of a silently skipped webhook.
func matchesBy(t *testing.T, conditions []admissionregistrationv1.MatchCondition, object, old string, by writer) bool {
	t.Helper()
	expressions := make([]admissioncel.ExpressionAccessor, len(conditions))
	for i, c := range conditions {
		expressions[i] = new(matchconditions.MatchCondition(c))
	}
	compiler := admissioncel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	matcher := matchconditions.NewMatcher(compiler.CompileCondition(expressions, admissioncel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.StoredExpressions),
		ptr.To(admissionregistrationv1.Fail), "webhook", "validating", "test")
	operation, before := admission.Create, runtime.Object(nil)
	if old != "" {
		operation, before = admission.Update, decode(t, old)
	}
	kind := schema.GroupVersionKind{Version: "v1", Kind: "X"} // of all, so that nothing is converted
	attributes := admission.NewAttributesRecord(decode(t, object), before, kind, "team", "web",
		schema.GroupVersionResource{Group: by.group, Resource: by.resource}, by.subresource, operation, by.options, false, &user.DefaultInfo{Name: by.user})
	versioned, err := admission.NewVersionedAttributes(attributes, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	result := matcher.Match(context.Background(), versioned, nil, by.operates)
	if result.Error != nil {
		t.Fatalf("conditions are not total: %v", result.Error)
	}
	return result.Matches
}

// writer is a user with the resource and the options of a request.
type writer struct {
	group, resource, subresource, user string
	options                            runtime.Object
	// operates is a resource of which the user may update the finalizers of object web.
	operates operates
}

type operates string

func (o operates) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	got := []string{a.GetVerb(), a.GetResource() + "." + a.GetAPIGroup(), a.GetSubresource(), a.GetNamespace(), a.GetName()}
	if slices.Equal(got, []string{"update", string(o), "finalizers", "team", "web"}) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func decode(t *testing.T, object string) runtime.Object {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(object), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func workload(replicas, annotations string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"X","metadata":{"name":"web"%s},"spec":{%s}}`, annotations, replicas)
}

// TestClampConditions: an HPA that is touched as it stands, and a scale by those listed.
func TestClampConditions(t *testing.T) {
	same, four, three := workload(`"maxReplicas":3`, ""), workload(`"replicas":4`, ""), workload(`"replicas":3`, "")
	scaled := append([]admissionregistrationv1.MatchCondition{writtenBy([]string{"hpa", "system:serviceaccount:keda:keda-operator"})}, scaleConditions...)
	cases := map[string]struct {
		conditions  []admissionregistrationv1.MatchCondition
		object, old string
		by          writer
		want        bool
	}{
		"HPA created":              {boundsConditions, same, "", writer{}, true},
		"HPA changed":              {boundsConditions, workload(`"maxReplicas":4`, ""), same, writer{}, true},
		"HPA stays":                {boundsConditions, same, same, writer{}, false},
		"HPA stays, other options": {boundsConditions, same, same, writer{options: &metav1.UpdateOptions{}}, false},
		"HPA stays, other manager": {boundsConditions, same, same, writer{options: &metav1.PatchOptions{FieldManager: "git"}}, false},
		"HPA touched":              {boundsConditions, same, same, writer{options: &metav1.PatchOptions{FieldManager: TouchManager}}, true},
		"autoscaler grows":         {scaled, four, three, writer{user: "hpa"}, true},
		"KEDA grows":               {scaled, four, three, writer{user: "system:serviceaccount:keda:keda-operator"}, true},
		"autoscaler shrinks":       {scaled, three, four, writer{user: "hpa"}, false},
		"person grows":             {scaled, four, three, writer{user: "jane"}, false},
		"nobody is listed":         {[]admissionregistrationv1.MatchCondition{writtenBy(nil)}, four, three, writer{user: "hpa"}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := matchesBy(t, c.conditions, c.object, c.old, c.by); got != c.want {
				t.Errorf("matches: %t, want %t", got, c.want)
			}
		})
	}
}

// TestTotalConditions: only growth is refused while no webhook answers.
func TestTotalConditions(t *testing.T) {
	gpus := func(n, image string) string {
		return `"replicas":3,"template":{"spec":{"containers":[{"name":"a","image":"` + image + `","resources":{"limits":{"nvidia.com/gpu":"` + n + `"}}},{"name":"b"}]}}`
	}
	claims := func(templates ...string) string {
		return `"replicas":3,"template":{"spec":{"resourceClaims":[{"name":"a","resourceClaimTemplateName":"` + strings.Join(templates, `"},{"name":"b","resourceClaimTemplateName":"`) + `"}]}}`
	}
	owned := `{"apiVersion":"v1","kind":"X","metadata":{"name":"web-1","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","controller":true}]},"spec":{"replicas":3}}`
	spec := func(s string) string { return workload(s, "") }
	ownedBy := func(uid, controller string) string {
		return workload(`"replicas":3`, `,"ownerReferences":[{"apiVersion":"a/v1","kind":"A","name":"a","uid":"`+uid+`","controller":`+controller+`}]`)
	}
	apps, batch := schema.GroupResource{Group: "apps", Resource: "deployments"}, schema.GroupResource{Group: "batch", Resource: "jobs"}
	other, rollouts := schema.GroupResource{Group: "ray.io", Resource: "rayclusters"}, schema.GroupResource{Group: "argoproj.io", Resource: "rollouts"}
	referred := func(name string) string {
		return `"replicas":3,"workloadRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"` + name + `"}`
	}
	kinds, err := sources.Table([]config.WebhookKind{
		{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows", Kind: "Workflow", Measure: "replicas", Count: "spec.parallelism=1"},
		{Group: "batch", Version: "v1", Resource: "packs", Kind: "Pack", Measure: "replicas", Count: "spec.size=1"},
		{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Measure: "replicas", Count: "spec.replicas=1 * @example.com/size=1"},
		{Group: "example.com", Version: "v1", Resource: "farms", Kind: "Farm", Measure: "replicas", Count: "max(spec.size=0, @example.com/max-size=0) + fields[]: n=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	own := func(group, resource string) schema.GroupResource {
		return schema.GroupResource{Group: group, Resource: resource}
	}
	size := func(n, spec string) string {
		return workload(spec, `,"annotations":{"example.com/size":"`+n+`","example.com/max-size":"`+n+`"}`)
	}
	fields := func(n string) string {
		return `{"apiVersion":"v1","kind":"X","metadata":{"name":"web"},"fields":[{"n":` + n + `}]}`
	}
	cases := map[string]struct {
		resource    schema.GroupResource
		subresource string
		user        string
		object, old string
		want        bool
	}{
		"create":                       {apps, "", "jane", spec(`"replicas":3`), "", true},
		"grows":                        {apps, "", "jane", spec(`"replicas":4`), spec(`"replicas":3`), true},
		"shrinks":                      {apps, "", "jane", spec(`"replicas":2`), spec(`"replicas":3`), false},
		"another image":                {apps, "", "jane", spec(gpus("1", "new")), spec(gpus("1", "old")), false},
		"more GPUs":                    {apps, "", "jane", spec(gpus("2", "old")), spec(gpus("1", "old")), true},
		"more claims":                  {apps, "", "jane", spec(claims("a", "b")), spec(claims("a")), true},
		"other claims":                 {apps, "", "jane", spec(claims("b")), spec(claims("a")), true},
		"pods of another":              {rollouts, "", "jane", spec(referred("big")), spec(referred("small")), true},
		"pods of the same":             {rollouts, "", "jane", spec(referred("big") + `,"paused":true`), spec(referred("big")), false},
		"pods of another's from here":  {rollouts, "", "jane", spec(referred("big")), spec(`"replicas":3`), true},
		"the same claims":              {apps, "", "jane", spec(claims("a")), spec(claims("a")), false},
		"job claims more":              {batch, "", "jane", spec(claims("a", "b")), spec(claims("a")), true},
		"annotated":                    {apps, "", "jane", workload(`"replicas":3`, `,"annotations":{"forewarm.dev/max-replicas":"5"}`), spec(`"replicas":3`), false},
		"scale up":                     {apps, "scale", "jane", spec(`"replicas":4`), spec(`"replicas":3`), true},
		"scale from zero":              {apps, "scale", "jane", spec(`"replicas":1`), spec(""), true},
		"scale to zero":                {apps, "scale", "jane", spec(""), spec(`"replicas":1`), false},
		"a rollout":                    {apps, "", "system:serviceaccount:kube-system:deployment-controller", owned, "", false},
		"a forged rollout":             {apps, "", "jane", owned, "", true},
		"a controller on its own":      {apps, "", "system:kube-controller-manager", spec(`"replicas":3`), "", true},
		"names a controller":           {apps, "", "jane", ownedBy("1", "true"), spec(`"replicas":3`), true},
		"names another controller":     {other, "", "jane", ownedBy("2", "true"), ownedBy("1", "true"), true},
		"names an owner":               {apps, "", "jane", ownedBy("1", "false"), spec(`"replicas":3`), false},
		"the same controller":          {apps, "", "jane", ownedBy("1", "true"), ownedBy("1", "true"), false},
		"released by its controller":   {apps, "", "jane", spec(`"replicas":3`), ownedBy("1", "true"), false},
		"job created":                  {batch, "", "jane", spec(`"parallelism":3`), "", true},
		"job grows":                    {batch, "", "jane", spec(`"parallelism":3`), spec(""), true},
		"job shrinks":                  {batch, "", "jane", spec(`"parallelism":3`), spec(`"parallelism":4`), false},
		"job completes more":           {batch, "", "jane", spec(`"completions":9`), spec(`"completions":8`), true},
		"job suspended":                {batch, "", "jane", spec(`"suspend":true`), spec(""), false},
		"job resumed":                  {batch, "", "jane", spec(`"suspend":false`), spec(`"suspend":true`), true},
		"another kind asks otherwise":  {other, "", "jane", spec(`"a":1`), spec(`"a":2`), true},
		"workflow grows":               {own("argoproj.io", "workflows"), "", "jane", spec(`"parallelism":4`), spec(`"parallelism":3`), true},
		"workflow stays":               {own("argoproj.io", "workflows"), "", "jane", spec(`"parallelism":3`), spec(`"parallelism":3`), false},
		"rollout grows":                {own("argoproj.io", "rollouts"), "", "jane", spec(`"replicas":4`), spec(`"replicas":3`), true},
		"rollout shrinks":              {own("argoproj.io", "rollouts"), "", "jane", spec(`"replicas":3`), spec(`"replicas":4`), false},
		"deployment config from none":  {own("apps.openshift.io", "deploymentconfigs"), "", "jane", spec(`"replicas":1`), spec(""), true},
		"deployment config shrinks":    {own("apps.openshift.io", "deploymentconfigs"), "", "jane", spec(""), spec(`"replicas":1`), false},
		"pack in the group of jobs":    {own("batch", "packs"), "", "jane", spec(`"size":4`), spec(`"size":3`), true},
		"counted otherwise, annotated": {own("apps", "statefulsets"), "", "jane", size("4", `"replicas":3`), size("3", `"replicas":3`), true},
		"farm by an annotation":        {own("example.com", "farms"), "", "jane", size("4", `"size":3`), size("3", `"size":3`), true},
		"farm annotated first":         {own("example.com", "farms"), "", "jane", size("4", `"size":3`), spec(`"size":3`), true},
		"farm annotated otherwise":     {own("example.com", "farms"), "", "jane", workload(`"size":3`, `,"annotations":{"a":"b"}`), spec(`"size":3`), false},
		"farm by its spec":             {own("example.com", "farms"), "", "jane", spec(`"size":4`), spec(`"size":3`), true},
		"farm beside its spec":         {own("example.com", "farms"), "", "jane", fields("2"), fields("1"), true},
		"farm stays beside its spec":   {own("example.com", "farms"), "", "jane", fields("2"), fields("2"), false},
		"another kind annotated":       {other, "", "jane", size("4", `"a":1`), size("3", `"a":1`), false},
		"another kind asks for itself": {other, "", "jane", workload(`"a":1`, `,"labels":{"a":"b"}`), spec(`"a":1`), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			by := writer{group: c.resource.Group, resource: c.resource.Resource, subresource: c.subresource, user: c.user}
			if got := matchesBy(t, totalConditions(kinds), c.object, c.old, by); got != c.want {
				t.Errorf("matches: %t, want %t", got, c.want)
			}
		})
	}
}

// TestOwnKinds: a kind of one's own is asked about wherever its count stands, also in a group of the API server.
func TestOwnKinds(t *testing.T) {
	kinds, err := sources.Table([]config.WebhookKind{
		{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet", Measure: "replicas", Count: "spec.replicas=1 * size=1"},
		{Group: "", Version: "v1", Resource: "widgets", Kind: "Widget", Measure: "replicas", Count: "spec.size=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	target := defaultTarget()
	target.Kinds = kinds
	at := map[string]string{}
	for _, entry := range Validating(target, nil).Webhooks[:2] {
		for _, r := range entry.Rules {
			for _, resource := range r.Resources {
				at[resource] = entry.Name
			}
		}
	}
	for _, resource := range []string{"statefulsets", "widgets"} {
		if at[resource] != "kinds.ceilings.forewarm.dev" {
			t.Errorf("%s are asked about by %s, whose condition knows replicas alone", resource, at[resource])
		}
	}
	of := func(n string) string {
		return `{"apiVersion":"v1","kind":"X","metadata":{},"size":` + n + `,"spec":{"replicas":1}}`
	}
	for name, c := range map[string]struct {
		resource, object, old string
		want                  bool
	}{
		"larger":                   {"statefulsets", of("2"), of("1"), true},
		"as it was":                {"statefulsets", of("2"), of("2"), false},
		"another kind is not read": {"rayclusters", of("2"), of("1"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := matchesBy(t, asksOtherwise(kinds), c.object, c.old, writer{group: "apps", resource: c.resource, user: "jane"}); got != c.want {
				t.Errorf("matches: %t, want %t", got, c.want)
			}
		})
	}
}

// TestRolloutConditions: what a controller makes of its own object, which counts, is asked about where a webhook
// answers, and passes where none does; all else is as TestTotalConditions says.
func TestRolloutConditions(t *testing.T) {
	owned := func(apiVersion, kind, replicas string) string {
		return `{"apiVersion":"v1","kind":"X","metadata":{"name":"web-1","ownerReferences":[{"apiVersion":"` + apiVersion + `","kind":"` + kind + `","name":"web","uid":"1","controller":true}]},"spec":{"replicas":` + replicas + `}}`
	}
	const rollouts, jobSets, tenant = "system:serviceaccount:argo-rollouts:argo-rollouts", "system:serviceaccount:jobset-system:jobset", "system:serviceaccount:mine:ci"
	const manager = "system:kube-controller-manager"
	rollout := owned("argoproj.io/v1alpha1", "Rollout", "3")
	type asked int
	const (
		nowhere asked = iota
		failing
		ignoring
	)
	cases := map[string]struct {
		resource    string
		user        string
		operates    operates
		object, old string
		want        asked
	}{
		"a ReplicaSet of a Rollout":                {"replicasets.apps", rollouts, "rollouts.argoproj.io", rollout, "", ignoring},
		"one that grows":                           {"replicasets.apps", rollouts, "rollouts.argoproj.io", owned("argoproj.io/v1alpha1", "Rollout", "4"), rollout, ignoring},
		"one that shrinks":                         {"replicasets.apps", rollouts, "rollouts.argoproj.io", owned("argoproj.io/v1alpha1", "Rollout", "2"), rollout, nowhere},
		"a Job of a JobSet":                        {"jobs.batch", jobSets, "jobsets.jobset.x-k8s.io", owned("jobset.x-k8s.io/v1alpha2", "JobSet", "1"), "", ignoring},
		"a cluster of a RayJob":                    {"rayclusters.ray.io", manager, "", owned("ray.io/v1", "RayJob", "1"), "", ignoring},
		"by a person":                              {"replicasets.apps", "jane", "rollouts.argoproj.io", rollout, "", failing},
		"by an account of another namespace":       {"replicasets.apps", tenant, "", rollout, "", failing},
		"by an account that operates others":       {"replicasets.apps", tenant, "jobsets.jobset.x-k8s.io", rollout, "", failing},
		"of a kind that counts for nobody":         {"jobs.batch", manager, "", owned("keda.sh/v1alpha1", "ScaledObject", "1"), "", failing},
		"of a kind of another group":               {"replicasets.apps", manager, "", owned("example.com/v1", "Rollout", "1"), "", failing},
		"of what makes again what is taken":        {"jobs.batch", manager, "", owned("keda.sh/v1alpha1", "ScaledJob", "1"), "", failing},
		"of what does not say how much it makes":   {"jobsets.jobset.x-k8s.io", manager, "", owned("trainer.kubeflow.org/v1alpha1", "TrainJob", "1"), "", failing},
		"workers of a leading pod":                 {"statefulsets.apps", manager, "", strings.ReplaceAll(owned("v1", "Pod", "1"), `"name":"web"`, `"name":"web-1"`), "", failing},
		"of a Deployment":                          {"replicasets.apps", manager, "", owned("apps/v1", "Deployment", "1"), "", nowhere},
		"of a Deployment, by another who operates": {"replicasets.apps", tenant, "deployments.apps", owned("apps/v1", "Deployment", "1"), "", failing},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			resource, group, _ := strings.Cut(c.resource, ".")
			by := writer{group: group, resource: resource, user: c.user, operates: c.operates}
			for entry, conditions := range map[asked][]admissionregistrationv1.MatchCondition{failing: totalConditions(webhook.Kinds()), ignoring: rolloutConditions(webhook.Kinds())} {
				if got := matchesBy(t, conditions, c.object, c.old, by); got != (c.want == entry) {
					t.Errorf("entry %d matches: %t", entry, got)
				}
			}
			if got := matchesBy(t, toldConditions(webhook.Kinds()), c.object, c.old, by); got != (c.want != nowhere) {
				t.Errorf("the entry of trials matches: %t", got)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	const (
		three, four = `"replicas":3`, `"replicas":4`
		five        = `,"annotations":{"forewarm.dev/max-replicas":"5"}`
		empty       = `,"annotations":{"forewarm.dev/max-replicas":""}`
		other       = `,"annotations":{"a":"b"}`
		mode        = `,"annotations":{"forewarm.dev/ceiling-mode":"warn"}`
	)
	pod := func(metadata, containers string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"X","metadata":{"name":"p"%s},"spec":{%s}}`, metadata, containers)
	}
	ownedBy := func(owner string) string { return workload("", `,"ownerReferences":[{`+owner+`}]`) }
	asks := func(resource string) string {
		return fmt.Sprintf(`[{"name":"c"},{"name":"d","resources":{}},{"name":"e","resources":{"requests":{"cpu":"1",%q:"1"}}}]`, resource)
	}
	cases := map[string]struct {
		conditions            []admissionregistrationv1.MatchCondition
		resource, object, old string
		want                  bool
	}{
		"create":                        {workloadConditions, "deployments", workload("", ""), "", true},
		"grows":                         {workloadConditions, "deployments", workload(four, ""), workload(three, ""), true},
		"grows from the default of one": {workloadConditions, "deployments", workload(three, ""), workload("", ""), true},
		"shrinks":                       {workloadConditions, "deployments", workload(three, five), workload(four, five), false},
		"shrinks to the default of one": {workloadConditions, "deployments", workload("", ""), workload(three, ""), false},
		"stays":                         {workloadConditions, "deployments", workload(three, other), workload(three, ""), false},
		"annotated":                     {workloadConditions, "deployments", workload(three, five), workload(three, other), true},
		"annotated with nothing":        {workloadConditions, "deployments", workload(three, empty), workload(three, ""), true},
		"annotation removed":            {workloadConditions, "deployments", workload(three, ""), workload(three, five), true},
		"mode changed":                  {workloadConditions, "deployments", workload(three, mode), workload(three, ""), true},
		"kind created":                  {kindConditions, "jobs", workload("", ""), "", true},
		"kind asks otherwise":           {kindConditions, "jobs", workload(four, ""), workload(three, ""), true},
		"kind annotated":                {kindConditions, "scaledobjects", workload(three, other), workload(three, ""), true},
		"kind stays":                    {kindConditions, "jobs", workload(three, other), workload(three, other), false},
		"kind without a spec":           {kindConditions, "jobs", `{"apiVersion":"v1","kind":"X","metadata":{}}`, `{"apiVersion":"v1","kind":"X","metadata":{}}`, false},
		"scale up":                      {scaleConditions, "deployments", workload(four, ""), workload(three, ""), true},
		"scale from zero":               {scaleConditions, "deployments", workload(three, ""), workload("", ""), true},
		"scale to zero":                 {scaleConditions, "deployments", workload("", ""), workload(three, ""), false},
		"scale without a spec":          {scaleConditions, "deployments", `{"apiVersion":"v1","kind":"X","metadata":{}}`, `{"apiVersion":"v1","kind":"X","metadata":{}}`, false},
		"Namespace annotated":           {annotationConditions, "namespaces", workload("", five), workload("", ""), true},
		"Namespace created with it":     {annotationConditions, "namespaces", workload("", five), "", true},
		"Namespace created without":     {annotationConditions, "namespaces", workload("", other), "", false},
		"Namespace otherwise edited":    {annotationConditions, "namespaces", workload(three, five), workload("", five), false},
		"Machine made by hand":          {machineConditions, "machines", workload("", ""), "", true},
		"Machine that a Cluster owns":   {machineConditions, "machines", ownedBy(`"kind":"Cluster"`), "", true},
		"Machine of none":               {machineConditions, "machines", ownedBy(`"kind":"MachineSet","controller":false`), "", true},
		"Machine of a MachineSet":       {machineConditions, "machines", ownedBy(`"kind":"MachineSet","controller":true`), "", false},
		"pod without GPU":               {podConditions, "pods", pod("", `"containers":`+asks("memory")), "", false},
		"NVIDIA pod":                    {podConditions, "pods", pod("", `"containers":`+asks("nvidia.com/gpu")), "", true},
		"MIG pod":                       {podConditions, "pods", pod("", `"containers":`+asks("nvidia.com/mig-1g.5gb")), "", true},
		"AMD init container":            {podConditions, "pods", pod("", `"initContainers":`+asks("amd.com/gpu")+`,"containers":`+asks("memory")), "", true},
		"Intel pod":                     {podConditions, "pods", pod("", `"containers":`+asks("gpu.intel.com/xe")), "", true},
		"AMD partition":                 {podConditions, "pods", pod("", `"containers":`+asks("amd.com/cpx_nps4")), "", true},
		"class as a resource":           {podConditions, "pods", pod("", `"containers":`+asks("deviceclass.resource.kubernetes.io/gpu")), "", true},
		"pod with a claim":              {podConditions, "pods", pod("", `"resourceClaims":[{"name":"gpu","resourceClaimTemplateName":"two"}]`), "", true},
		"pod with no claims":            {podConditions, "pods", pod("", `"resourceClaims":[],"containers":`+asks("memory")), "", false},
		"pod that says its shape":       {podConditions, "pods", pod(`,"annotations":{"forewarm.dev/gpu-shape":"a"}`, `"containers":`+asks("memory")), "", true},
		"pod that names a pool":         {podConditions, "pods", pod(`,"annotations":{"forewarm.dev/pool":"a"}`, `"containers":`+asks("memory")), "", true},
		"mirror pod":                    {podConditions, "pods", pod(`,"annotations":{"kubernetes.io/config.mirror":"a"}`, `"containers":`+asks("nvidia.com/gpu")), "", false},
		"pod without anything":          {podConditions, "pods", pod("", ""), "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := matches(t, c.conditions, c.resource, c.object, c.old); got != c.want {
				t.Errorf("matches: %t, want %t", got, c.want)
			}
		})
	}
}

// TestOldestServer: Kubernetes 1.31 takes new expressions of what 1.30 had, and every match
// condition is of that.
func TestOldestServer(t *testing.T) {
	base := environment.MustBaseEnvSet(version.MajorMinor(1, 30))
	check := func(name string, conditions []admissionregistrationv1.MatchCondition) {
		expressions := make([]admissioncel.ExpressionAccessor, len(conditions))
		for i, c := range conditions {
			expressions[i] = new(matchconditions.MatchCondition(c))
		}
		compiled := admissioncel.NewConditionCompiler(base).CompileCondition(expressions, admissioncel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.NewExpressions)
		for _, err := range compiled.CompilationErrors() {
			t.Errorf("%s: %v", name, err)
		}
	}
	target := defaultTarget()
	for _, h := range Validating(target, nil).Webhooks {
		check(h.Name, h.MatchConditions)
	}
	for _, h := range Mutating(target, nil).Webhooks {
		check(h.Name, h.MatchConditions)
	}
}

// BenchmarkConditions: what the API server pays for the conditions of an update of a Deployment of a
// usual size, as it does for each, whether the webhook is then asked or not.
func BenchmarkConditions(b *testing.B) {
	deployment := func(replicas int32, release string) *appsv1.Deployment {
		var env []corev1.EnvVar
		for i := range 40 {
			env = append(env, corev1.EnvVar{Name: fmt.Sprint("SHOP_", i), Value: "https://backend.shop.svc"})
		}
		d := &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "team", Annotations: map[string]string{"forewarm.dev/max-replicas": "50", "example.com/release": release}}}
		d.Spec.Replicas = &replicas
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Env: env}}
		return d
	}
	compiler := admissioncel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	matcher := matchconditions.NewMatcher(compiler.CompileCondition([]admissioncel.ExpressionAccessor{new(matchconditions.MatchCondition(workloadConditions[0]))},
		admissioncel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.StoredExpressions), ptr.To(admissionregistrationv1.Ignore), "webhook", "validating", "bench")
	kind := appsv1.SchemeGroupVersion.WithKind("Deployment")
	for name, c := range map[string]struct {
		replicas int32
		want     bool
	}{"grows": {4, true}, "stays": {3, false}} {
		b.Run(name, func(b *testing.B) {
			attributes := admission.NewAttributesRecord(deployment(c.replicas, "2"), deployment(3, "1"), kind, "team", "web",
				appsv1.SchemeGroupVersion.WithResource("deployments"), "", admission.Update, &metav1.UpdateOptions{}, false, &user.DefaultInfo{Name: "jane"})
			b.ReportAllocs()
			for b.Loop() {
				versioned, err := admission.NewVersionedAttributes(attributes, kind, nil)
				if err != nil {
					b.Fatal(err)
				}
				if got := matcher.Match(b.Context(), versioned, nil, nil); got.Error != nil || got.Matches != c.want {
					b.Fatalf("%+v, want a match: %t", got, c.want)
				}
			}
		})
	}
}
