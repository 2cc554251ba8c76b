package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// webhookKinds are the kinds of workload, by API version.
var webhookKinds = map[string]string{
	"Deployment": "apps/v1", "StatefulSet": "apps/v1", "ReplicaSet": "apps/v1", "ReplicationController": "v1",
}

// webhookWorkload makes a workload of any kind whose pods nobody can run.
func webhookWorkload(kind, namespace, name string, replicas int64, ceiling string) *unstructured.Unstructured {
	selector := any(map[string]any{"matchLabels": map[string]any{"app": name}})
	if kind == "ReplicationController" {
		selector = map[string]any{"app": name}
	}
	spec := map[string]any{
		"replicas": replicas, "selector": selector,
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": name}},
			"spec": map[string]any{
				"nodeSelector": map[string]any{"no": "such-node"},
				"containers":   []any{map[string]any{"name": "main", "image": "registry.k8s.io/pause:3.10"}},
			},
		},
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": webhookKinds[kind], "kind": kind,
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec":     spec,
	}}
	if kind == "StatefulSet" {
		spec["serviceName"] = name
	}
	if ceiling != "" {
		o.SetAnnotations(map[string]string{v1alpha1.AnnotationMaxReplicas: ceiling})
	}
	return o
}

// webhookWays are the ways to set a workload's replicas.
var webhookWays = map[string]func(context.Context, client.Client, *unstructured.Unstructured, int64) error{
	"update": func(ctx context.Context, c client.Client, o *unstructured.Unstructured, n int64) error {
		return retry.RetryOnConflict(retry.DefaultBackoff, func() error { // controllers write status
			if err := c.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}
			_ = unstructured.SetNestedField(o.Object, n, "spec", "replicas")
			return c.Update(ctx, o)
		})
	},
	"merge patch": func(ctx context.Context, c client.Client, o *unstructured.Unstructured, n int64) error {
		return c.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n)))
	},
	"JSON patch": func(ctx context.Context, c client.Client, o *unstructured.Unstructured, n int64) error {
		return c.Patch(ctx, o.DeepCopy(), client.RawPatch(types.JSONPatchType, fmt.Appendf(nil, `[{"op":"replace","path":"/spec/replicas","value":%d}]`, n)))
	},
	"server-side apply": func(ctx context.Context, c client.Client, o *unstructured.Unstructured, n int64) error {
		applied := fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,"metadata":{"name":%q},"spec":{"replicas":%d}}`, o.GetAPIVersion(), o.GetKind(), o.GetName(), n)
		return c.Patch(ctx, o.DeepCopy(), client.RawPatch(types.ApplyPatchType, applied), client.FieldOwner("test"), client.ForceOwnership)
	},
	"scale update": func(ctx context.Context, c client.Client, o *unstructured.Unstructured, n int64) error {
		return c.SubResource("scale").Update(ctx, o.DeepCopy(), client.WithSubResourceBody(&autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName()}, Spec: autoscalingv1.ScaleSpec{Replicas: int32(n)},
		}))
	},
	"scale patch": func(ctx context.Context, c client.Client, o *unstructured.Unstructured, n int64) error {
		return webhookScale(ctx, c, o, n)
	},
}

func webhookScale(ctx context.Context, c client.Client, o client.Object, n int64) error {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n))
	return c.SubResource("scale").Patch(ctx, o.DeepCopyObject().(client.Object), patch, client.WithSubResourceBody(&autoscalingv1.Scale{}))
}

func webhookOwnCeiling(t *testing.T, e *webhookEnv) {
	e.namespace(t, "own", nil)
	ctx := t.Context()
	for kind := range webhookKinds {
		name := "own/w"
		err := e.Client.Create(ctx, webhookWorkload(kind, "own", "w", 6, "5"))
		if err := webhookDenied(err, kind+" "+name, "6 replicas", "at most 5", `forewarm.dev/max-replicas="5"`, "who may edit"); err != nil {
			t.Errorf("%s, create above: %v", kind, err)
		}
		o := webhookWorkload(kind, "own", "w", 3, "5")
		if err := e.Client.Create(ctx, o); err != nil {
			t.Errorf("%s, create within: %v", kind, err)
			continue
		}
		for way, set := range webhookWays {
			if err := webhookDenied(set(ctx, e.Client, o, 6), kind+" "+name, "6 replicas", "at most 5"); err != nil {
				t.Errorf("%s, %s above: %v", kind, way, err)
			}
			for _, n := range []int64{5, 0, 3} {
				if err := set(ctx, e.Client, o, n); err != nil {
					t.Errorf("%s, %s to %d: %v", kind, way, n, err)
				}
			}
		}
	}
	// No growth above a ceiling passes, not even right after the write that sets it.
	o := webhookWorkload("Deployment", "own", "exact", 1, "")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	rounds := int64(50)
	if long() {
		rounds = 1000
	}
	for i := range rounds {
		if err := e.annotate(ctx, o.DeepCopy(), fmt.Sprint(2+i)); err != nil {
			t.Fatal(err)
		}
		if err := webhookDenied(webhookScale(ctx, e.Client, o, 3+i)); err != nil {
			t.Fatalf("scale above %d right after the ceiling was set: %v", 2+i, err)
		}
		// The twin, which is asked too, follows a moment later where a ceiling is raised.
		cluster.Eventually(t, twinWait, func() error { return webhookScale(ctx, e.Client, o, 2+i) })
	}
}

func webhookGrandfathered(t *testing.T, e *webhookEnv) {
	e.namespace(t, "grandfathered", nil)
	ctx := t.Context()
	o := webhookWorkload("Deployment", "grandfathered", "big", 10, "")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	if err := e.annotate(ctx, o.DeepCopy(), "4"); err != nil {
		t.Errorf("a ceiling below what there is: %v", err)
	}
	if err := e.Client.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"edited":"yes"}},"spec":{"template":{"metadata":{"labels":{"edited":"yes"}}}}}`))); err != nil {
		t.Errorf("an edit above the ceiling: %v", err)
	}
	if err := webhookScale(ctx, e.Client, o, 9); err != nil {
		t.Errorf("a decrease above the ceiling: %v", err)
	}
	if err := webhookDenied(webhookScale(ctx, e.Client, o, 10), "at most 4", "9 replicas that exist already may stay"); err != nil {
		t.Errorf("growing back: %v", err)
	}
	if err := webhookScale(ctx, e.Client, o, 0); err != nil {
		t.Errorf("to zero: %v", err)
	}
}

func webhookTwoWrites(t *testing.T, e *webhookEnv) {
	e.namespace(t, "two", nil)
	ctx := t.Context()
	o := webhookWorkload("Deployment", "two", "w", 3, "3")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	for name, annotation := range map[string]string{"raised": `"10"`, "removed": "null"} {
		body := fmt.Sprintf(`{"metadata":{"annotations":{"forewarm.dev/max-replicas":%s}},"spec":{"replicas":8}}`, annotation)
		err := e.Client.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
		if err := webhookDenied(err, "at most 3", "in a write of its own"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.annotate(ctx, o.DeepCopy(), "10"); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, twinWait, func() error { return webhookScale(ctx, e.Client, o, 8) })
}

func webhookNamespaceCeiling(t *testing.T, e *webhookEnv) {
	e.namespace(t, "team", map[string]string{v1alpha1.AnnotationMaxReplicas: "4"})
	ctx := t.Context()
	// No waiting: a Namespace that the cache has not seen is read live.
	err := e.Client.Create(ctx, webhookWorkload("StatefulSet", "team", "db", 5, ""))
	if err := webhookDenied(err, "StatefulSet team/db", "5 replicas", "at most 4", "Namespace team"); err != nil {
		t.Errorf("create: %v", err)
	}
	o := webhookWorkload("Deployment", "team", "web", 1, "9")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	if err := webhookDenied(webhookScale(ctx, e.Client, o, 5), "at most 4", "Namespace team"); err != nil {
		t.Errorf("the smaller of both counts: %v", err)
	}
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	if err := e.annotate(ctx, team, nil); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error { return webhookScale(ctx, e.Client, o, 9) })
}

func webhookClusterCeiling(t *testing.T, e *webhookEnv) {
	e.namespace(t, "anyone", nil)
	ctx := t.Context()
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}
	if err := e.annotate(ctx, system, "6"); err != nil {
		t.Fatal(err)
	}
	o := webhookWorkload("Deployment", "anyone", "web", 1, "")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		err := webhookDenied(webhookScale(ctx, e.Client, o, 7), "Deployment anyone/web", "7 replicas", "at most 6", "Namespace kube-system")
		if err != nil {
			_ = webhookScale(ctx, e.Client, o, 1)
		}
		return err
	})
	if err := e.Client.Create(ctx, webhookWorkload("Deployment", metav1.NamespaceSystem, "dns", 7, "")); err != nil {
		t.Errorf("kube-system itself is left alone: %v", err)
	}
	if err := e.annotate(ctx, system, nil); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error { return webhookScale(ctx, e.Client, o, 7) })
}

// webhookThing is a CRD with a /scale, which no RBAC of ours knows.
const webhookThing = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.example.com"},
"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"things","singular":"thing","kind":"Thing"},
"versions":[{"name":"v1","served":true,"storage":true,
"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"size":{"type":"integer"}}},"status":{"type":"object","properties":{"size":{"type":"integer"}}}}}},
"subresources":{"scale":{"specReplicasPath":".spec.size","statusReplicasPath":".status.size"}}}]}}`

func webhookCustomKind(t *testing.T, e *webhookEnv) {
	e.namespace(t, "custom", map[string]string{v1alpha1.AnnotationMaxReplicas: "7"})
	ctx := t.Context()
	crd := &unstructured.Unstructured{}
	if err := crd.UnmarshalJSON([]byte(webhookThing)); err != nil {
		t.Fatal(err)
	}
	if err := e.Client.Create(ctx, crd); err != nil {
		t.Fatal(err)
	}
	thing := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{
			"namespace": "custom", "name": "it", "annotations": map[string]any{v1alpha1.AnnotationMaxReplicas: "3"},
		}, "spec": map[string]any{"size": int64(1)},
	}}
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, thing.DeepCopy()) })

	// Where Forewarm may not read the kind, what binds from above still holds.
	e.warnings.take()
	if err := webhookScale(ctx, e.Client, thing, 5); err != nil {
		t.Errorf("unreadable parent, below the Namespace's ceiling: %v", err)
	}
	if got := e.warnings.take(); !strings.Contains(got, "forewarm-webhook-parents") {
		t.Errorf("warnings %q, want how to let Forewarm read the kind", got)
	}
	cluster.Eventually(t, twinWait, func() error { // the twin may still hold the cluster's ceiling, which has just been lifted
		return webhookDenied(webhookScale(ctx, e.Client, thing, 8), "things.example.com custom/it", "at most 7")
	})
	if err := webhookScale(ctx, e.Client, thing, 0); err != nil {
		t.Errorf("to zero: %v", err)
	}

	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "forewarm-reads-things", Labels: map[string]string{"forewarm.dev/aggregate-to-webhook-parents": "true"}},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{"things"}, Verbs: []string{"get"}}},
	}
	if err := e.Client.Create(ctx, role); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		err := webhookDenied(webhookScale(ctx, e.Client, thing, 4), "things.example.com custom/it", "4 replicas", "at most 3")
		if err != nil {
			_ = webhookScale(ctx, e.Client, thing, 0)
		}
		return err
	})
}

// webhookMachines is a kind of which the server has another version than the table names first.
const webhookMachines = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%[1]ss.cluster.x-k8s.io"},
"spec":{"group":"cluster.x-k8s.io","scope":"Namespaced","names":{"plural":"%[1]ss","singular":"%[1]s","kind":%[2]q},
"versions":[{"name":"v1beta2","served":true,"storage":true,
"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"replicas":{"type":"integer"}}}}}},
"subresources":{"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}}}]}}`

func webhookOtherVersion(t *testing.T, e *webhookEnv) {
	e.namespace(t, "machines", nil)
	ctx := t.Context()
	machines := func(kind, name string, replicas int64) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": kind, "metadata": map[string]any{"namespace": "machines", "name": name}, "spec": map[string]any{"replicas": replicas},
		}}
	}
	for _, kind := range []string{"MachineDeployment", "MachineSet"} {
		crd := &unstructured.Unstructured{}
		if err := crd.UnmarshalJSON(fmt.Appendf(nil, webhookMachines, strings.ToLower(kind), kind)); err != nil {
			t.Fatal(err)
		}
		if err := e.Client.Create(ctx, crd); err != nil {
			t.Fatal(err)
		}
	}
	deployment := machines("MachineDeployment", "pool", 4)
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, deployment) })
	e.maxNodes(t, deployment, "2")
	cluster.Eventually(t, webhookWait, func() error {
		return webhookDenied(webhookWays["merge patch"](ctx, e.Client, deployment, 5), "MachineDeployment machines/pool", "5 nodes", "at most 2")
	})
	if err := webhookDenied(webhookScale(ctx, e.Client, deployment, 5), "at most 2"); err != nil {
		t.Errorf("scale: %v", err)
	}
	e.maxNodes(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, "2")
	owned, bare := machines("MachineSet", "owned", 4), machines("MachineSet", "bare", 4)
	owned.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "MachineDeployment", Name: "pool", UID: deployment.GetUID(), Controller: new(true)}})
	cluster.Eventually(t, webhookWait, func() error {
		return webhookDenied(e.Client.Create(ctx, bare.DeepCopy(), client.DryRunAll), "MachineSet machines/bare", "Namespace kube-system")
	})
	if err := webhookDenied(e.Client.Create(ctx, owned.DeepCopy()), "MachineSet machines/owned", "Namespace kube-system"); err != nil {
		t.Errorf("a person says that it is owned: %v", err)
	}
	const manager = "system:serviceaccount:capi-system:capi-manager"
	e.grant(t, "machines", manager, "cluster-admin")
	if err := e.as(t, manager).Create(ctx, owned); err != nil {
		t.Errorf("owned by what stands above its ceiling: %v", err)
	}
	if said := e.forewarmctl(t)("audit", "-n", "machines"); !strings.Contains(said, "MachineDeployment machines/pool   4      2") || strings.Contains(said, "owned") {
		t.Errorf("audit:\n%s", said)
	}
	e.maxNodes(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, "")
}

// webhookPoolModes: the object of a node pool says what its ceiling does, and what lifts one is not
// passed in the same write.
func webhookPoolModes(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	pool := &unstructured.Unstructured{}
	pool.SetGroupVersionKind(schema.GroupVersionKind{Group: "cluster.x-k8s.io", Version: "v1beta2", Kind: "MachineDeployment"})
	pool.SetNamespace("machines")
	pool.SetName("pool")
	patch := func(body string) error { return e.Client.Patch(ctx, pool.DeepCopy(), twinPatch(body)) }
	if err := webhookDenied(patch(`{"metadata":{"annotations":{"forewarm.dev/ceiling-mode":"warn"}},"spec":{"replicas":6}}`), "at most 2"); err != nil {
		t.Errorf("lift and grow: %v", err)
	}
	n := int64(4) // what it has from the part before
	for _, c := range []struct {
		mode          string
		passes, warns bool
	}{{"warn", true, true}, {"audit", true, false}, {"enforce", false, false}} {
		if err := patch(fmt.Sprintf(`{"metadata":{"annotations":{"forewarm.dev/ceiling-mode":%q}}}`, c.mode)); err != nil {
			t.Fatal(err)
		}
		for _, way := range []string{"merge patch", "scale patch"} {
			e.warnings.take()
			err := webhookWays[way](ctx, e.Client, pool, n+1)
			if c.passes && err == nil {
				n++
			} else if c.passes || webhookDenied(err, "at most 2") != nil {
				t.Errorf("%s, %s: %v, want it let through: %t", c.mode, way, err, c.passes)
			}
			if warned := strings.Contains(e.warnings.take(), "at most 2"); warned != c.warns {
				t.Errorf("%s, %s: warned %t, want %t", c.mode, way, warned, c.warns)
			}
		}
	}
}

// maxNodes annotates an object; empty removes the annotation.
func (e *webhookEnv) maxNodes(t *testing.T, o client.Object, value string) {
	t.Helper()
	body := `{"metadata":{"annotations":{"forewarm.dev/max-nodes":null}}}`
	if value != "" {
		body = fmt.Sprintf(`{"metadata":{"annotations":{"forewarm.dev/max-nodes":%q}}}`, value)
	}
	if err := e.Client.Patch(t.Context(), o.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		t.Fatal(err)
	}
}

func webhookMalformed(t *testing.T, e *webhookEnv) {
	e.namespace(t, "malformed", nil)
	ctx := t.Context()
	for _, value := range []string{"lots", "-1", "1.5", "99999999999999999999", "", " 5"} {
		says := []string{v1alpha1.AnnotationMaxReplicas, fmt.Sprintf("%q", value), "write for example"}
		for kind := range webhookKinds {
			o := webhookWorkload(kind, "malformed", "new", 1, "")
			o.SetAnnotations(map[string]string{v1alpha1.AnnotationMaxReplicas: value})
			if err := webhookDenied(e.Client.Create(ctx, o), append(says, kind+" malformed/new")...); err != nil {
				t.Errorf("create %s with %q: %v", kind, value, err)
			}
		}
		for _, name := range []string{"malformed", metav1.NamespaceSystem} {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
			if err := webhookDenied(e.annotate(ctx, namespace, value), append(says, "Namespace "+name)...); err != nil {
				t.Errorf("Namespace %s with %q: %v", name, value, err)
			}
		}
		fresh := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "fresh", Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: value}}}
		if err := webhookDenied(e.Client.Create(ctx, fresh), append(says, "Namespace fresh")...); err != nil {
			t.Errorf("new Namespace with %q: %v", value, err)
		}
	}
	o := webhookWorkload("Deployment", "malformed", "w", 1, "3")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	if err := webhookDenied(e.annotate(ctx, o.DeepCopy(), "lots"), "Deployment malformed/w", `"lots"`); err != nil {
		t.Errorf("annotate: %v", err)
	}
}

// webhookRollout is the outage that a naive rule on ReplicaSets makes: the old one is
// scaled to zero and the new one refused.
func webhookRollout(t *testing.T, e *webhookEnv) {
	e.namespace(t, "rollout", nil)
	ctx := t.Context()
	key := client.ObjectKey{Namespace: "rollout", Name: "web"}
	o := webhookWorkload("Deployment", key.Namespace, key.Name, 4, "")
	unstructured.RemoveNestedField(o.Object, "spec", "template", "spec", "nodeSelector")
	_ = unstructured.SetNestedField(o.Object, "Recreate", "spec", "strategy", "type")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	rolledOut := func() error {
		d := &appsv1.Deployment{}
		if err := e.Client.Get(ctx, key, d); err != nil {
			return err
		}
		if d.Status.ObservedGeneration != d.Generation || d.Status.UpdatedReplicas != 4 || d.Status.AvailableReplicas != 4 || d.Status.Replicas != 4 {
			return fmt.Errorf("generation %d, status %+v", d.Generation, d.Status)
		}
		return nil
	}
	cluster.Eventually(t, webhookWait, rolledOut)
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: key.Namespace}}
	for _, err := range []error{
		e.annotate(ctx, o.DeepCopy(), "2"), e.annotate(ctx, team, "2"),
		e.Client.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"template":{"metadata":{"labels":{"version":"2"}}}}}`))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	cluster.Eventually(t, webhookWait, rolledOut)
	sets := &appsv1.ReplicaSetList{}
	if err := e.Client.List(ctx, sets, client.InNamespace(key.Namespace)); err != nil {
		t.Fatal(err)
	}
	if len(sets.Items) != 2 {
		t.Errorf("%d ReplicaSets, want the old and the new one", len(sets.Items))
	}
}

// webhookLastGood stores a malformed value while the configurations and the policy are gone, as
// somebody could while Forewarm is disarmed; a second replica then puts them back.
func webhookLastGood(t *testing.T, e *webhookEnv) {
	e.namespace(t, "typo", map[string]string{v1alpha1.AnnotationMaxReplicas: "3"})
	ctx := t.Context()
	o := webhookWorkload("Deployment", "typo", "web", 1, "")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	for kind, name := range map[string]string{"ValidatingAdmissionPolicyBinding": "forewarm-ceilings-access", "ValidatingWebhookConfiguration": "forewarm"} {
		configuration := &unstructured.Unstructured{}
		configuration.SetAPIVersion("admissionregistration.k8s.io/v1")
		configuration.SetKind(kind)
		configuration.SetName(name)
		if err := e.Client.Delete(ctx, configuration); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
	typo := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "typo"}}
	cluster.Eventually(t, webhookWait, func() error { return e.annotate(ctx, typo, "lots") })
	e.second(t)
	cluster.Eventually(t, webhookWait, func() error {
		err := webhookDenied(webhookScale(ctx, e.Client, o, 4), "at most 3", `"lots"`, "last good value")
		if err != nil {
			_ = webhookScale(ctx, e.Client, o, 1)
		}
		return err
	})
	if err := e.Client.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))); err != nil {
		t.Errorf("an edit under a malformed ceiling: %v", err)
	}
}

// second starts another replica, which must leave correct configurations as they are.
func (e *webhookEnv) second(t *testing.T) {
	t.Helper()
	second := e.start(t, "webhook-second", webhookPort(t))
	before := e.configurations(t)
	third := e.start(t, "webhook-third", webhookPort(t))
	if after := e.configurations(t); after != before {
		t.Errorf("resource versions of the configurations went from %s to %s, want replicas not to fight", before, after)
	}
	for _, p := range []*webhookProcess{second, third} {
		if err := p.Stop(webhookWait); err != nil {
			t.Errorf("stop %s: %v", p.Name, err)
		}
	}
}
