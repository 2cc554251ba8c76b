package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/webhook/twin"
)

// TestTwin kills the webhook and then tries what its policies hold. TestWebhook shows the same of
// Deployments and StatefulSets, beside running pods.
func TestTwin(t *testing.T) {
	t.Parallel()
	c := cluster.ForTest(t, cluster.Options{ControllerManager: true, MayBeForbidden: []string{"forewarm-webhook may not list /apis/example.com/"}, ExtraArgs: map[string][]string{
		assets.ControllerManager: {"--controllers=clusterrole-aggregation-controller,serviceaccount-controller,validatingadmissionpolicy-status-controller"},
	}})
	if err := c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}); err != nil {
		t.Fatal(err)
	}
	e := newWebhookEnvBeside(t, c, twinFarms)
	ctx := t.Context()
	var crds []string
	for _, group := range []string{"karpenter.sh", "jobset.x-k8s.io", "ray.io", "leaderworkerset.x-k8s.io", "cluster.x-k8s.io"} {
		crds = append(crds, filepath.Join("..", "bypass", "testdata", "crds", group+".yaml"))
	}
	if err := e.ApplyFiles(ctx, append(crds, "testdata/nodeclaims.yaml")...); err != nil {
		t.Fatal(err)
	}
	e.namespace(t, "twin", map[string]string{"forewarm.dev/max-replicas": "5"})
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}
	if err := e.Client.Patch(ctx, system, twinPatch(`{"metadata":{"annotations":{"forewarm.dev/allowed-instance-types":"m5.*, g5.*"}}}`)); err != nil {
		t.Fatal(err)
	}
	for _, before := range []client.Object{
		webhookWorkload("Deployment", "twin", "web", 3, ""), webhookWorkload("Deployment", "twin", "own", 1, "2"),
		twinObject(t, "{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: a100, annotations: {forewarm.dev/allowed-instance-types: g5.*}}, spec: {template: {spec: {requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [g5.xlarge]}]}}}}"),
		twinObject(t, "{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {namespace: twin, name: group}, spec: {replicas: 1}}"),
	} {
		cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, before.DeepCopyObject().(client.Object)) })
	}
	t.Run("the API server takes the policies", func(t *testing.T) { twinAccepted(t, e) })
	t.Run("growth follows a raise at once", func(t *testing.T) { twinRaises(t, e) })
	e.process.Kill()
	<-e.process.Done()
	t.Run("writes", func(t *testing.T) { twinWrites(t, e) })
	t.Run("every kind", func(t *testing.T) { twinEveryKind(t, e) })
	t.Run("who may say that it is owned", func(t *testing.T) { twinOwners(t, e) })
	t.Run("autoscalers are clamped", func(t *testing.T) { twinClamps(t, e) })
	t.Run("who may approve instance types", func(t *testing.T) { twinApprovers(t, e) })
	t.Run("who may change our labels", func(t *testing.T) { twinLabels(t, e) })
}

func twinPatch(body string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(body)) }

func twinObject(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// twinAccepted: all policies are there, and the API server has no complaint about the types in
// their expressions. The set and the list of a NodePool have been compiled.
func twinAccepted(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	for _, name := range twin.Names() {
		// One worker compiles every expression for every type: that of 1.31 takes minutes on a busy machine.
		cluster.Eventually(t, 5*webhookWait, func() error {
			p := &admissionregistrationv1.ValidatingAdmissionPolicy{}
			if err := e.Client.Get(ctx, client.ObjectKey{Name: name}, p); err != nil {
				return err
			}
			if p.Status.ObservedGeneration != p.Generation || p.Status.TypeChecking == nil {
				return fmt.Errorf("%s has not been checked yet", name)
			}
			if warnings := p.Status.TypeChecking.ExpressionWarnings; len(warnings) > 0 {
				t.Fatalf("%s: %+v", name, warnings)
			}
			if name == twin.NodeClaims && !strings.Contains(fmt.Sprint(p.Spec), "'a100': 'g5.*'") {
				return fmt.Errorf("%s does not know the list of NodePool a100", name)
			}
			return nil
		})
	}
	cluster.Eventually(t, webhookWait, func() error {
		err := webhookScale(ctx, e.Client, webhookWorkload("Deployment", "twin", "own", 0, ""), 3)
		if err == nil || !strings.Contains(err.Error(), twin.Sets) {
			return fmt.Errorf("got %w, want it refused by the twin", webhookNoError(err))
		}
		return nil
	})
}

// twinRaises: a person who raises a ceiling and then grows is hardly ever refused by policies that
// know the old one still: API servers learn of Namespaces and CeilingSets by watches of their own.
// Two of three writes were, before raises were written ahead and lists read from the Namespace.
func twinRaises(t *testing.T, e *webhookEnv) {
	const writers, each = 8, 25
	ctx := t.Context()
	list := func(writer, n int) error {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("raises-%d", writer)}}
		return e.Client.Patch(ctx, namespace, twinPatch(fmt.Sprintf(`{"metadata":{"annotations":{"forewarm.dev/workload-max-replicas":"deployment/web=%d"}}}`, n)))
	}
	var refused, refusedByList atomic.Int64
	var group sync.WaitGroup
	for writer := range writers {
		name := fmt.Sprintf("raises-%d", writer)
		e.namespace(t, name, map[string]string{"forewarm.dev/workload-max-replicas": "deployment/web=1"})
		own, listed := webhookWorkload("Deployment", name, "own", 1, "1"), webhookWorkload("Deployment", name, "web", 1, "")
		for _, o := range []*unstructured.Unstructured{own, listed} {
			if err := e.Client.Create(ctx, o); err != nil {
				t.Fatal(err)
			}
		}
		cluster.Eventually(t, webhookWait, func() error {
			set := &v1alpha1.CeilingSet{}
			if err := e.Client.Get(ctx, client.ObjectKey{Namespace: name, Name: v1alpha1.CeilingSetName}, set); err != nil || len(set.Spec.Own) == 0 {
				return fmt.Errorf("the set has %+v (%w)", set.Spec, webhookNoError(err))
			}
			return nil
		})
		group.Go(func() {
			for n := 2; n < 2+each; n++ {
				for _, way := range []struct {
					raise   func() error
					o       *unstructured.Unstructured
					refused *atomic.Int64
				}{
					{func() error { return e.annotate(ctx, own.DeepCopy(), fmt.Sprint(n)) }, own, &refused},
					{func() error { return list(writer, n) }, listed, &refusedByList},
				} {
					if err := way.raise(); err != nil {
						t.Errorf("%s to %d: %v", way.o.GetName(), n, err)
					}
					for first := true; ; first = false {
						err := webhookScale(ctx, e.Client, way.o, int64(n))
						if err == nil {
							break
						}
						if !apierrors.IsForbidden(err) {
							t.Errorf("%s to %d: %v", way.o.GetName(), n, err)
							return
						}
						if first {
							way.refused.Add(1)
						}
					}
				}
			}
		})
	}
	group.Wait()
	t.Logf("of %d writes after a raise on the workload %d were refused at first, of as many after one in the Namespace's list %d", writers*each, refused.Load(), refusedByList.Load())
	if most := int64(writers * each / 4); refused.Load() > most || refusedByList.Load() > most {
		t.Errorf("more than %d of either were refused", most)
	}
}

// twinWrites are held as the webhook would.
func twinWrites(t *testing.T, e *webhookEnv) {
	const types = "requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [%s]}]"
	pool := func(name, requirements string) string {
		return "{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: " + name + "}, spec: {template: {spec: {" + requirements + "}}}}"
	}
	claim := func(name, pool, requirements string) string {
		return "{apiVersion: karpenter.sh/v1, kind: NodeClaim, metadata: {name: " + name + ", labels: {karpenter.sh/nodepool: " + pool + "}}, spec: {" + requirements + "}}"
	}
	pods := "template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}"
	for name, c := range map[string]struct{ object, refused string }{
		"a Job within":                    {"{apiVersion: batch/v1, kind: Job, metadata: {namespace: twin, name: within}, spec: {parallelism: 5, " + pods + "}}", ""},
		"a Job above":                     {"{apiVersion: batch/v1, kind: Job, metadata: {namespace: twin, name: above}, spec: {parallelism: 6, " + pods + "}}", "6 replicas asked for by spec.parallelism, at most 5"},
		"a Job above, suspended":          {"{apiVersion: batch/v1, kind: Job, metadata: {namespace: twin, name: later}, spec: {parallelism: 6, suspend: true, " + pods + "}}", ""},
		"a Job above, that completes few": {"{apiVersion: batch/v1, kind: Job, metadata: {namespace: twin, name: few}, spec: {parallelism: 6, completions: 2, " + pods + "}}", ""},
		"a JobSet above":                  {"{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {namespace: twin, name: set}, spec: {replicatedJobs: [{name: a, replicas: 2, template: {spec: {parallelism: 2}}}, {name: b, replicas: 2}]}}", "6 replicas asked for by spec.replicatedJobs"},
		"a LeaderWorkerSet above":         {"{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {namespace: twin, name: lws}, spec: {replicas: 2, leaderWorkerTemplate: {size: 3}}}", "6 replicas asked for"},
		"a RayCluster that may get above": {"{apiVersion: ray.io/v1, kind: RayCluster, metadata: {namespace: twin, name: ray}, spec: {enableInTreeAutoscaling: true, workerGroupSpecs: [{replicas: 1, maxReplicas: 5}]}}", "6 replicas asked for by spec.workerGroupSpecs[].maxReplicas"},
		"a forged owner":                  {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: twin, name: forged, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: x, controller: true}]}, spec: {replicas: 6, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}}", "at most 5"},
		"nodes are no replicas":           {"{apiVersion: cluster.x-k8s.io/v1beta1, kind: MachineDeployment, metadata: {namespace: twin, name: nodes}, spec: {replicas: 9}}", ""},
		"a NodePool of approved types":    {pool("good", fmt.Sprintf(types, "m5.large")), ""},
		"a NodePool of others":            {pool("bad", fmt.Sprintf(types, "m5.large, p4d.24xlarge")), "p4d.24xlarge"},
		"a NodePool of any":               {pool("any", "requirements: []"), "every instance type"},
		"a family":                        {pool("family", "requirements: [{key: karpenter.k8s.aws/instance-family, operator: In, values: [m5]}]"), ""},
		"a NodeClaim of approved types":   {claim("good", "a100", fmt.Sprintf(types, "g5.xlarge")), ""},
		"a NodeClaim of others":           {claim("bad", "other", fmt.Sprintf(types, "p4d.24xlarge")), "p4d.24xlarge"},
		"a NodeClaim not of its pool":     {claim("odd", "a100", fmt.Sprintf(types, "m5.large")), "NodePool a100"},
	} {
		create := func() error { return e.Client.Create(t.Context(), twinObject(t, c.object), client.DryRunAll) }
		if c.refused == "" {
			if err := create(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		cluster.Eventually(t, webhookWait, func() error { // the API server may still be compiling
			if err := webhookDenied(create(), "ValidatingAdmissionPolicy", c.refused); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
}

// twinClamps: an autoscaler gets the ceiling, a person a refusal. Where the API server has no mutating
// policies an autoscaler is refused too.
func twinClamps(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	o := webhookWorkload("Deployment", "twin", "web", 3, "")
	if err := webhookDenied(webhookScale(ctx, e.Client, o, 9), "at most 5"); err != nil {
		t.Errorf("a person: %v", err)
	}
	if !e.Serves(t, admissionregistrationv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicy"), "1.36") {
		for name, want := range map[string]string{"web": "at most 5", "own": "at most 2"} {
			o := webhookWorkload("Deployment", "twin", name, 0, "")
			if err := webhookDenied(webhookWays["scale update"](ctx, e.as(t, autoscalerUser), o, 9), "ValidatingAdmissionPolicy", want); err != nil {
				t.Errorf("the autoscaler, of %s: %v", name, err)
			}
		}
		return
	}
	for name, want := range map[string]int32{"web": 5, "own": 2} { // the Namespace's ceiling, and its own
		o := webhookWorkload("Deployment", "twin", name, 0, "")
		if err := webhookWays["scale update"](ctx, e.as(t, autoscalerUser), o, 9); err != nil {
			t.Fatalf("the autoscaler: %v", err)
		}
		stored := &appsv1.Deployment{}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(o), stored); err != nil || *stored.Spec.Replicas != want {
			t.Errorf("%s: stored %d (%v), want %d", name, *stored.Spec.Replicas, err, want)
		}
	}
	group := twinObject(t, "{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {namespace: twin, name: group}}")
	if err := webhookWays["scale update"](ctx, e.as(t, autoscalerUser), group, 9); err != nil {
		t.Fatalf("the autoscaler, of a custom kind: %v", err)
	}
	if err := e.Client.Get(ctx, client.ObjectKeyFromObject(group), group); err != nil {
		t.Fatal(err)
	}
	if replicas, _, _ := unstructured.NestedInt64(group.Object, "spec", "replicas"); replicas != 5 || len(group.GetAnnotations()) > 0 {
		t.Errorf("a custom kind: stored %d, annotations %v; want 5 and none", replicas, group.GetAnnotations())
	}
}

// twinApprovers: whoever may write a NodePool tightens its list, and does not loosen it.
func twinApprovers(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "pools"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"karpenter.sh"}, Resources: []string{"nodepools"}, Verbs: []string{"*"}}}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "pools"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "pooler"}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	pooler := e.as(t, "pooler")
	set := func(ctx context.Context, list string) error {
		o := twinObject(t, "{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: a100}}")
		return pooler.Patch(ctx, o, twinPatch(`{"metadata":{"annotations":{"forewarm.dev/allowed-instance-types":`+list+`}}}`))
	}
	cluster.Eventually(t, webhookWait, func() error { return set(ctx, `"g5.*, g5.large"`) }) // rights are cached
	for _, list := range []string{`"g5.*, m5.*"`, `"*"`, `null`} {
		if err := webhookDenied(set(ctx, list), twin.Access, "ceilings.forewarm.dev"); err != nil {
			t.Errorf("to %s: %v", list, err)
		}
	}
	if err := set(ctx, `"g5.xlarge"`); err != nil {
		t.Errorf("tighten: %v", err)
	}
}

// twinLabels: who may patch Namespaces does not take one out of its ceilings by its label, unless he may set ceilings.
func twinLabels(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "labels"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces", "namespaces/status"}, Verbs: []string{"get", "patch"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "labels"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "labeller"}},
	}
	for _, o := range []client.Object{role, binding} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "twin"}}
	labeller := e.as(t, "labeller")
	patch := func(label, value string) error {
		return labeller.Patch(ctx, namespace.DeepCopy(), twinPatch(`{"metadata":{"labels":{"`+label+`":`+value+`}}}`))
	}
	cluster.Eventually(t, webhookWait, func() error { return patch("a", `"b"`) }) // rights are cached
	for _, label := range []string{v1alpha1.LabelCeilings, v1alpha1.LabelTotals} {
		for _, value := range []string{"null", `"no"`} {
			if label == v1alpha1.LabelTotals && value == "null" {
				continue // it has none
			}
			if err := webhookDenied(patch(label, value), twin.Access, "written by Forewarm alone"); err != nil {
				t.Errorf("%s to %s: %v", label, value, err)
			}
		}
	}
	status := labeller.Status().Patch(ctx, namespace.DeepCopy(), twinPatch(`{"metadata":{"labels":{"`+v1alpha1.LabelCeilings+`":null}}}`))
	if err := webhookDenied(status, twin.Access); err != nil {
		t.Errorf("with the status: %v", err)
	}
	e.grant(t, "twin", "labeller", "forewarm-ceilings")
	cluster.Eventually(t, webhookWait, func() error {
		return labeller.Patch(ctx, namespace.DeepCopy(), twinPatch(`{"metadata":{"labels":{"`+v1alpha1.LabelCeilings+`":null}}}`), client.DryRunAll)
	})
}
