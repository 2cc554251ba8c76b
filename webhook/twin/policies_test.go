package twin

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// state is one write, as a few numbers choose it.
type state struct {
	operation           string // create, update, scale
	kind                webhook.Kind
	asked, before       *int64
	own, oldOwn         *string
	ofNamespace, listed *string
	mode                *string
	cluster             *int64
	override            *string
	known               v1alpha1.CeilingSetSpec
	may                 bool
	// shape and oldShape are the object of a kind that counts by more than its replicas.
	shape, oldShape map[string]any
}

// values are annotations, good and bad; nil is none.
func values(numbers ...string) []*string {
	out := []*string{nil}
	for _, n := range numbers {
		out = append(out, &n)
	}
	return out
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func draw(random *rand.Rand) state {
	ceilings := values("0", "2", "5", "007", "2147483647", "2147483648", "00000000000000000000003", "lots", "", "-1", "5 ", "5\n", "1.5")
	number := func(absent bool) *int64 {
		if absent && random.IntN(5) == 0 {
			return nil
		}
		n := int64(random.IntN(9))
		return &n
	}
	s := state{
		operation: pick(random, []string{"create", "update", "scale"}), kind: pick(random, counted()),
		asked: number(true), before: number(true),
		own: pick(random, ceilings), oldOwn: pick(random, ceilings), ofNamespace: pick(random, ceilings),
		listed:   pick(random, values("deployment/web=3, statefulset/web=4", "deployment/other=1", "replicationcontroller/web=2", "web=3")),
		mode:     pick(random, values("enforce", "warn", "audit", "off")),
		override: pick(random, values("6 until 2026-11-25T00:00:00Z: load test", "6 until 2026-11-23T00:00:00Z: ended", "6")),
		may:      random.IntN(2) == 0,
	}
	if random.IntN(2) == 0 {
		s.kind = webhook.Kinds()[random.IntN(4)]
	}
	if !isPlain(s.kind) {
		s.shape, s.oldShape = filled(random, s.kind), filled(random, s.kind)
	}
	if random.IntN(2) == 0 {
		s.cluster = new(int64(3))
	}
	if random.IntN(2) == 0 {
		s.oldOwn = s.own
	}
	if random.IntN(2) == 0 {
		s.known = v1alpha1.CeilingSetSpec{MaxReplicas: number(false), Own: map[string]int64{s.key(): *number(false)}}
	}
	return s
}

func (s state) key() string { return Key(s.kind.Group, s.kind.Resource, "web") }

func (s state) annotations(own *string) map[string]string {
	out := map[string]string{}
	for key, value := range map[string]*string{webhook.MaxReplicas: own, webhook.CeilingOverride: s.override} {
		if value != nil {
			out[key] = *value
		}
	}
	return out
}

func (s state) namespaceAnnotations() map[string]string {
	out := map[string]string{}
	for key, value := range map[string]*string{webhook.MaxReplicas: s.ofNamespace, webhook.WorkloadMaxReplicas: s.listed, webhook.CeilingMode: s.mode} {
		if value != nil {
			out[key] = *value
		}
	}
	return out
}

// set is what the keeper has compiled before the write.
func (s state) set() (spec v1alpha1.CeilingSetSpec, present bool) {
	namespace := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "team", Annotations: s.namespaceAnnotations()}}
	var workloads []Workload
	if s.operation != "create" {
		workloads = []Workload{{Key: s.key(), Annotations: s.annotations(s.oldOwn)}}
	}
	spec, present, _ = Compile(namespace, workloads, s.known, now)
	return spec, present
}

// object is the object or its Scale.
func (s state) object(replicas *int64, own *string, shape map[string]any) map[string]any {
	spec := map[string]any{}
	if replicas != nil {
		spec["replicas"] = *replicas
	}
	if s.operation == "scale" {
		return map[string]any{"metadata": map[string]any{"name": "web"}, "spec": spec}
	}
	annotations := map[string]any{}
	for key, value := range s.annotations(own) {
		annotations[key] = value
	}
	metadata := map[string]any{"name": "web"}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	out := map[string]any{"metadata": metadata, "spec": spec}
	if shape != nil {
		delete(out, "spec")
		maps.Copy(out, shape)
	}
	return out
}

// inGo is what package webhook says.
func (s state) inGo(spec v1alpha1.CeilingSetSpec) webhook.Decision {
	object := webhook.Object{Kind: s.kind.Name, Namespace: "team", Name: "web"}
	count := func(n *int64) int64 {
		switch {
		case n != nil:
			return *n
		case s.operation == "scale":
			return 0
		default:
			return 1
		}
	}
	setting := func(on webhook.Object, annotation string, value *string, lastGood *int64) webhook.Setting {
		out := webhook.Setting{On: on, Annotation: annotation}
		if value != nil {
			out.Set, out.Value = true, *value
		}
		if lastGood != nil {
			text := fmt.Sprint(*lastGood)
			out.LastGood = &text
		}
		return out
	}
	var lastOwn *int64
	if n, ok := s.known.Own[s.key()]; ok {
		lastOwn = &n
	}
	team, system := webhook.Object{Kind: "Namespace", Name: "team"}, webhook.Object{Kind: "Namespace", Name: "kube-system"}
	r := webhook.Request{
		Object: object, Workload: object, Measure: webhook.Replicas, Create: s.operation == "create", Now: now,
		Counts: []webhook.Change{{Field: "spec.replicas", New: count(s.asked), Old: count(s.before)}},
		Own:    setting(object, webhook.MaxReplicas, s.own, lastOwn), OldOwn: setting(object, webhook.MaxReplicas, s.oldOwn, lastOwn),
		Override: setting(object, webhook.CeilingOverride, s.override, nil),
		Above: []webhook.Setting{
			setting(team, webhook.WorkloadMaxReplicas, s.listed, nil), setting(team, webhook.MaxReplicas, s.ofNamespace, spec.MaxReplicas),
		},
		May: map[webhook.Verb]bool{webhook.Set: s.may, webhook.Overrule: s.may},
	}
	if s.cluster != nil {
		text := fmt.Sprint(*s.cluster)
		r.Above = append(r.Above, setting(system, webhook.MaxReplicas, &text, nil))
	}
	if s.mode != nil {
		r.Mode, _ = webhook.ParseMode(*s.mode)
	}
	if s.shape != nil && s.operation != "scale" {
		r.Counts = nil
		for _, c := range s.kind.Counts {
			r.Counts = append(r.Counts, webhook.Change{Field: c.Field, New: c.Of.Evaluate(s.shape), Old: c.Of.Evaluate(s.oldShape)})
		}
	}
	switch s.operation {
	case "create":
		r.OldOwn = webhook.Setting{}
		for i := range r.Counts {
			r.Counts[i].Old = 0
		}
		r.Override.Set = false // the keeper has not seen it yet; growing comes after
		r.Rewritten = map[string]webhook.Rewrite{webhook.MaxReplicas: {New: s.own}}
		if s.override != nil {
			r.Rewritten[webhook.CeilingOverride] = webhook.Rewrite{New: s.override}
		}
	case "update":
		r.Rewritten = map[string]webhook.Rewrite{webhook.MaxReplicas: {Old: s.oldOwn, New: s.own}}
		if (s.own == nil) == (s.oldOwn == nil) && (s.own == nil || *s.own == *s.oldOwn) {
			r.Rewritten = nil
		}
	default:
		r.Own = r.OldOwn
	}
	return webhook.Ceilings().Review(r)
}

// inCEL is what the policies say.
func (s state) inCEL(t testing.TB, policies []evaluator, spec v1alpha1.CeilingSetSpec, labelled bool) (allowed bool, message string) {
	t.Helper()
	in := input{
		operation: admission.Update, name: "web",
		resource: schema.GroupVersionResource{Group: s.kind.Group, Version: "v1", Resource: s.kind.Resource},
		object:   s.object(s.asked, s.own, s.shape), old: s.object(s.before, s.oldOwn, s.oldShape),
		namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", Annotations: s.namespaceAnnotations()}},
		may:       grants(s.may),
	}
	growth := policies[0]
	if labelled {
		growth = policies[1]
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&v1alpha1.CeilingSet{Spec: spec})
		if err != nil {
			t.Fatal(err)
		}
		in.params = &unstructured.Unstructured{Object: object}
	}
	if s.operation == "create" {
		in.operation, in.old = admission.Create, nil
	}
	if s.operation == "scale" {
		in.subresource = "scale"
		return growth.allows(t, in)
	}
	if allowed, message = policies[2].allows(t, in); !allowed {
		return allowed, message
	}
	return growth.allows(t, in)
}

// grants allows everything or nothing.
type grants bool

func (g grants) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	if g {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionDeny, "", nil
}

func compileAll(t testing.TB, o Options) []evaluator {
	t.Helper()
	var out []evaluator
	for _, p := range Policies(o) {
		out = append(out, compile(t, p))
	}
	return out
}

// differ compares both verdicts on one write, and returns that of package webhook.
func differ(t testing.TB, compiled map[int64][]evaluator, s state) webhook.Reason {
	t.Helper()
	spec, labelled := s.set()
	cluster := int64(-1)
	if s.cluster != nil {
		cluster = *s.cluster
	}
	if compiled[cluster] == nil {
		compiled[cluster] = compileAll(t, Options{Cluster: s.cluster, Excluded: []string{"kube-system"}, Kinds: table()})
	}
	want := s.inGo(spec)
	if want.Reason == webhook.ReasonMalformed && lenient(want.Message) {
		return want.Reason
	}
	got, message := s.inCEL(t, compiled[cluster], spec, labelled)
	if got != (want.Verdict == webhook.Allow) {
		t.Fatalf("Go: %s %s (%s)\nCEL: allowed %t (%s)\nset %+v\n%s", want.Verdict, want.Reason, want.Message, got, message, spec, s)
	}
	return want.Reason
}

// lenient says whether a value that cannot be read is one that the policies leave to the webhook.
func lenient(message string) bool {
	return strings.Contains(message, webhook.CeilingOverride) || strings.Contains(message, webhook.WorkloadMaxReplicas)
}

func (s state) String() string {
	text := func(v *string) string {
		if v == nil {
			return "none"
		}
		return fmt.Sprintf("%q", *v)
	}
	number := func(v *int64) string {
		if v == nil {
			return "none"
		}
		return fmt.Sprint(*v)
	}
	if s.shape != nil {
		return fmt.Sprintf("%s %s from %v to %v: %+v", s.operation, s.kind.Name, s.oldShape, s.shape, s.known)
	}
	return fmt.Sprintf("%s %s from %s to %s: own %s, before %s; Namespace %s, list %s, mode %s; cluster %s; override %s; known %+v; may %t",
		s.operation, s.kind.Name, number(s.before), number(s.asked), text(s.own), text(s.oldOwn), text(s.ofNamespace), text(s.listed), text(s.mode), number(s.cluster), text(s.override), s.known, s.may)
}

// TestTwin: Go and CEL agree on writes of every sort.
func TestTwin(t *testing.T) {
	compiled := map[int64][]evaluator{}
	seen := map[webhook.Reason]int{}
	for seed := range uint64(4000) {
		seen[differ(t, compiled, draw(rand.New(rand.NewPCG(seed, 1))))]++
	}
	for _, reason := range []webhook.Reason{webhook.ReasonAboveCeiling, webhook.ReasonNotPermitted, webhook.ReasonWithinCeiling, webhook.ReasonOverridden, webhook.ReasonNotGrowing} {
		if seen[reason] < 100 {
			t.Errorf("%s came up %d times: the draw says little", reason, seen[reason])
		}
	}
}

// FuzzTwin is TestTwin for any seed.
func FuzzTwin(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	compiled := map[int64][]evaluator{}
	f.Fuzz(func(t *testing.T, a, b uint64) { differ(t, compiled, draw(rand.New(rand.NewPCG(a, b)))) })
}

// TestMessage: a person reads the same from both.
func TestMessage(t *testing.T) {
	six, three, five := int64(6), int64(3), "5"
	s := state{operation: "update", kind: webhook.Kinds()[0], asked: &six, before: &three, own: &five, oldOwn: &five}
	spec, labelled := s.set()
	compiled := compileAll(t, Options{Excluded: []string{"kube-system"}, Kinds: webhook.Kinds()})
	_, got := s.inCEL(t, compiled, spec, labelled)
	if want := s.inGo(spec).Message; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRaise: a raise is in the set before it is stored, stays there until it is, and not for long.
func TestRaise(t *testing.T) {
	const web = "deployments.apps/web"
	text := func(s string) *string { return &s }
	workload := func(own, override string) []Workload {
		w := Workload{Key: web, Annotations: map[string]string{}}
		if own != "" {
			w.Annotations[webhook.MaxReplicas] = own
		}
		if override != "" {
			w.Annotations[webhook.CeilingOverride] = override
		}
		return []Workload{w}
	}
	const until = "9 until 2026-11-24T13:00:00Z: test"
	set := v1alpha1.CeilingSetSpec{Own: map[string]int64{web: 5, "deployments.apps/db": 3}}
	cases := map[string]struct {
		written map[string]webhook.Rewrite
		stored  []Workload
		// want is the ceiling in the set, below zero for none.
		want, wantOverride int64
	}{
		"raised":     {map[string]webhook.Rewrite{webhook.MaxReplicas: {Old: text("5"), New: text("8")}}, workload("8", ""), 8, -1},
		"removed":    {map[string]webhook.Rewrite{webhook.MaxReplicas: {Old: text("5")}}, workload("", ""), -1, -1},
		"overridden": {map[string]webhook.Rewrite{webhook.CeilingOverride: {New: text(until)}}, workload("5", until), 5, 9},
	}
	of := func(limits map[string]int64) int64 {
		if n, is := limits[web]; is {
			return n
		}
		return -1
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			raised, changed := Raise(set, web, c.written, now, now.Add(5*time.Second))
			db := Workload{Key: "deployments.apps/db", Annotations: map[string]string{webhook.MaxReplicas: "3"}}
			before, _, ends := Compile(&metav1.PartialObjectMetadata{}, append(workload("5", ""), db), raised, now)
			for when, spec := range map[string]v1alpha1.CeilingSetSpec{"at once": raised, "before it is stored": before} {
				if of(spec.Own) != c.want || of(spec.Overrides) != c.wantOverride || len(spec.Ahead) != 1 || spec.Own["deployments.apps/db"] != 3 {
					t.Errorf("%s: %+v, want %d and %d", when, spec, c.want, c.wantOverride)
				}
			}
			if !changed || !ends.Equal(now.Add(5*time.Second)) {
				t.Errorf("changed %t, until %s", changed, ends)
			}
			if spec, _, _ := Compile(&metav1.PartialObjectMetadata{}, append(c.stored, db), raised, now); len(spec.Ahead) > 0 || of(spec.Own) != c.want || of(spec.Overrides) != c.wantOverride {
				t.Errorf("stored: %+v", spec)
			}
			if spec, _, _ := Compile(&metav1.PartialObjectMetadata{}, append(workload("5", ""), db), raised, now.Add(5*time.Second)); len(spec.Ahead) > 0 || of(spec.Own) != 5 || of(spec.Overrides) != -1 {
				t.Errorf("never stored: %+v", spec)
			}
		})
	}
	for name, written := range map[string]map[string]webhook.Rewrite{
		"tightened": {webhook.MaxReplicas: {Old: text("5"), New: text("4")}}, "unreadable": {webhook.MaxReplicas: {Old: text("5"), New: text("lots")}},
		"no override any more": {webhook.CeilingOverride: {Old: text(until)}}, "of somebody unknown": {webhook.MaxReplicas: {Old: text("5")}},
	} {
		key := web
		if name == "of somebody unknown" {
			key = "deployments.apps/other"
		}
		if spec, changed := Raise(set, key, written, now, now.Add(time.Second)); changed {
			t.Errorf("%s: %+v", name, spec)
		}
	}
}

// TestLists: of the Namespace's list the policies read the annotation, or where that cannot be read
// what the set says.
func TestLists(t *testing.T) {
	long := "deployment/web=3"
	for i := range 1000 {
		long += fmt.Sprintf(", deployment/other-%d=1", i)
	}
	named := v1alpha1.CeilingSetSpec{Named: map[string]int64{"deployments.apps/web": 4}}
	compiled := compileAll(t, Options{Excluded: []string{"kube-system"}, Kinds: table()})
	six, three := int64(6), int64(3)
	for value, want := range map[string][2]string{ // without a set, and with one
		"deployment/web=3": {"at most 3", "at most 3"}, "statefulset/web=3 , deployment/web=5": {"at most 5", "at most 5"}, "deployment/web=6": {"", ""}, "deployment/other=1": {"", ""},
		"deployment/web=3,lots": {"", "at most 4"}, "deployment/web=3, deployment/web=5": {"", "at most 4"}, long: {"", "at most 4"},
	} {
		s := state{operation: "scale", kind: webhook.Kinds()[0], asked: &six, before: &three, listed: &value}
		for i, labelled := range []bool{false, true} {
			allowed, message := s.inCEL(t, compiled, named, labelled)
			if allowed != (want[i] == "") || !strings.Contains(message, want[i]) {
				t.Errorf("%.40s, with a set %t: allowed %t (%s), want %q", value, labelled, allowed, message, want[i])
			}
		}
	}
}

func TestCompileKeepsWhatCannotBeRead(t *testing.T) {
	before := v1alpha1.CeilingSetSpec{MaxReplicas: new(int64(4)), Own: map[string]int64{"deployments.apps/web": 2}}
	namespace := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{webhook.MaxReplicas: "lots"}}}
	workloads := []Workload{
		{Key: "deployments.apps/web", Annotations: map[string]string{webhook.MaxReplicas: "many"}},
		{Key: "deployments.apps/new", Annotations: map[string]string{webhook.MaxReplicas: "many"}},
		{Key: "deployments.apps/tested", Annotations: map[string]string{webhook.CeilingOverride: "9 until 2026-11-24T13:00:00Z: test"}},
		{Key: "deployments.apps/past", Annotations: map[string]string{webhook.CeilingOverride: "9 until 2026-11-24T12:00:00Z: test"}},
	}
	spec, present, ends := Compile(namespace, workloads, before, now)
	if !present || *spec.MaxReplicas != 4 || len(spec.Own) != 1 || spec.Own["deployments.apps/web"] != 2 || len(spec.Overrides) != 1 || !ends.Equal(now.Add(time.Hour)) {
		t.Errorf("got %+v, present %t, until %s", spec, present, ends)
	}
	if _, present, _ := Compile(&metav1.PartialObjectMetadata{}, nil, before, now); present {
		t.Error("a set without any annotation is kept")
	}
	if got := keys("replicaset/web"); !slices.Equal(got, []string{"replicasets.apps/web"}) {
		t.Errorf("keys %v", got)
	}
}

// TestVersions: a policy asks about a kind in each version that says the same, since a server may
// have any one of them alone.
func TestVersions(t *testing.T) {
	asked := map[string][]string{}
	for _, rule := range (Options{Kinds: webhook.Kinds()}).annotated() {
		for _, resource := range rule.Resources {
			asked[rule.APIGroups[0]+"/"+resource] = rule.APIVersions
		}
	}
	for _, k := range webhook.Kinds() {
		if got := asked[k.Group+"/"+k.Resource]; !slices.Equal(got, k.Versions()) {
			t.Errorf("%s of %s is asked about in the versions %v, want %v", k.Resource, k.Group, got, k.Versions())
		}
	}
}
