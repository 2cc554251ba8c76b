package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
	"forewarm.dev/test/cluster"
)

// topologyKinds are as much of Kueue's CRDs as is read.
func topologyKinds(t *testing.T, e *loopEnv) {
	t.Helper()
	var all strings.Builder
	for kind, names := range map[string][2]string{"Workload": {"workloads", "Namespaced"}, "LocalQueue": {"localqueues", "Namespaced"}, "ClusterQueue": {"clusterqueues", "Cluster"}, "ResourceFlavor": {"resourceflavors", "Cluster"}, "Topology": {"topologies", "Cluster"}} {
		fmt.Fprintf(&all, `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[2]s.kueue.x-k8s.io}
spec:
  group: kueue.x-k8s.io
  names: {kind: %[1]s, listKind: %[1]sList, plural: %[2]s, singular: %[4]s}
  scope: %[3]s
  versions:
  - {name: v1beta2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`, kind, names[0], names[1], strings.ToLower(kind))
	}
	file := filepath.Join(t.TempDir(), "kueue.yaml")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.ApplyFiles(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	for _, o := range []map[string]any{
		{"kind": "Topology", "metadata": map[string]any{"name": "racks"}, "spec": map[string]any{"levels": []any{map[string]any{"nodeLabel": "example.com/rack"}, map[string]any{"nodeLabel": corev1.LabelHostname}}}},
		{"kind": "ResourceFlavor", "metadata": map[string]any{"name": "gpus"}, "spec": map[string]any{"topologyName": "racks", "nodeLabels": map[string]any{"karpenter.sh/nodepool": "warm"}}},
		{"kind": "LocalQueue", "metadata": map[string]any{"name": "team", "namespace": "ml"}, "spec": map[string]any{"clusterQueue": "shared"}},
		{"kind": "ClusterQueue", "metadata": map[string]any{"name": "shared"}, "spec": map[string]any{"resourceGroups": []any{map[string]any{"flavors": []any{map[string]any{"name": "gpus"}}}}}},
	} {
		o["apiVersion"] = "kueue.x-k8s.io/v1beta2"
		e.create(t, &unstructured.Unstructured{Object: o})
	}
}

// topologyKueue stands in for Kueue: as its documentation has it, what is free in a rack is what nodes offer less
// what any pod uses, whatever its priority; a Workload whose pods fit within one rack is admitted, and its pods
// are bound to nodes by a selector; one whose pods do not has the condition that says so.
type topologyKueue struct {
	client.Client
	refused, admitted map[string]time.Time
}

// run looks every 50 ms until ctx ends.
func (k *topologyKueue) run(ctx context.Context, failed func(error)) {
	for ticker := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
			if err := k.look(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

func (k *topologyKueue) look(ctx context.Context) error {
	var list unstructured.UnstructuredList
	list.SetAPIVersion("kueue.x-k8s.io/v1beta2")
	list.SetKind("WorkloadList")
	if err := k.List(ctx, &list); err != nil {
		return err
	}
	for i := range list.Items {
		w := &list.Items[i]
		if _, done := k.admitted[w.GetName()]; done {
			continue
		}
		if err := k.try(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (k *topologyKueue) try(ctx context.Context, w *unstructured.Unstructured) error {
	sets, _, _ := unstructured.NestedSlice(w.Object, "spec", "podSets")
	count := int(sets[0].(map[string]any)["count"].(int64))
	s, err := snapshot.Take(ctx, k.Client)
	if err != nil {
		return err
	}
	ask, racks, most := quantity.Vector{cluster.GPU: 4}, map[string][]string{}, 0
	for _, node := range s.Nodes {
		rack := node.Labels["example.com/rack"]
		if rack == "" {
			continue
		}
		for room := quantity.Of(node.Status.Allocatable).MinusPods(s.PodsOn(node.Name)); ask.FitsIn(room); room = room.Minus(ask) {
			racks[rack] = append(racks[rack], node.Labels[corev1.LabelHostname])
			most = max(most, len(racks[rack]))
		}
	}
	for _, hosts := range racks {
		if len(hosts) >= count {
			return k.admit(ctx, w, hosts[:count])
		}
	}
	if _, told := k.refused[w.GetName()]; told {
		return nil
	}
	k.refused[w.GetName()] = time.Now()
	fit := fmt.Sprintf("allows to fit only %d out of %d pod(s)", most, count)
	if most == 0 {
		fit = fmt.Sprintf("doesn't allow to fit any of %d pod(s)", count)
	}
	return k.say(ctx, w, "False", "Pending", `couldn't assign flavors to pod set main: topology "racks" `+fit)
}

func (k *topologyKueue) admit(ctx context.Context, w *unstructured.Unstructured, hosts []string) error {
	k.admitted[w.GetName()] = time.Now()
	if err := k.say(ctx, w, "True", "QuotaReserved", ""); err != nil {
		return err
	}
	for i, host := range hosts {
		pod := loopPod("ml", fmt.Sprintf("%s-%d", w.GetName(), i), 4, map[string]string{corev1.LabelHostname: host})
		if err := k.Create(ctx, pod); err != nil {
			return err
		}
	}
	return nil
}

func (k *topologyKueue) say(ctx context.Context, w *unstructured.Unstructured, status, reason, message string) error {
	conditions := fmt.Sprintf(`{"type":"QuotaReserved","status":%q,"reason":%q,"message":%q,"lastTransitionTime":"2026-11-30T08:00:00Z"}`, status, reason, message)
	if status == "True" {
		conditions += `,{"type":"Admitted","status":"True","reason":"Admitted","message":"","lastTransitionTime":"2026-11-30T08:00:00Z"}`
	}
	return k.Patch(ctx, w, client.RawPatch(types.MergePatchType, []byte(`{"status":{"conditions":[`+conditions+`]}}`)))
}

// topologyWorkload asks for pods of four GPUs within a rack.
func topologyWorkload(name string, count int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "metadata": map[string]any{"namespace": "ml", "name": name},
		"spec": map[string]any{"queueName": "team", "podSets": []any{map[string]any{
			"name": "main", "count": count, "topologyRequest": map[string]any{"required": "example.com/rack"},
			"template": map[string]any{"spec": map[string]any{
				"containers": []any{map[string]any{"name": "main", "image": "x", "resources": map[string]any{"requests": map[string]any{"nvidia.com/gpu": "4"}}}},
			}},
		}}},
	}}
}

// TestTopology: Workloads that a stand-in for Kueue finds no room for within a rack get that of placeholders, of one
// rack and no more than they need; how soon is logged, a second as a rule; one that fits no rack costs none.
func TestTopology(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	ctx := t.Context()
	topologyKinds(t, e)
	chunks := `{"spec":{"chunks":[{"name":"half","requests":{"nvidia.com/gpu":"4"},"waitCostPerHour":"0","idleCostPerHour":"12","min":%d,"max":4}]}}`
	pool := loopPool(loopName, "warm", 0, 4)
	pool.Spec.Mode = v1alpha1.ModeEnforce
	e.create(t, pool)
	e.patch(t, loopName, fmt.Sprintf(chunks, 4))
	e.start(t, "extender", "extender")
	e.start(t, "reserver", "reserver")
	capacityReserved(t, e, 4)
	e.patch(t, loopName, fmt.Sprintf(chunks, 0))
	var nodes corev1.NodeList
	if err := e.Client.List(ctx, &nodes, client.MatchingLabels{"karpenter.sh/nodepool": "warm"}); err != nil || len(nodes.Items) != 2 {
		t.Fatalf("%d nodes, %v; want two", len(nodes.Items), err)
	}
	for i := range nodes.Items {
		patch := client.RawPatch(types.MergePatchType, []byte(fmt.Sprintf(`{"metadata":{"labels":{"example.com/rack":"r%d"}}}`, i)))
		if err := e.Client.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodes.Items[i].Name}}, patch); err != nil {
			t.Fatal(err)
		}
	}
	kueue := &topologyKueue{Client: e.Client, refused: map[string]time.Time{}, admitted: map[string]time.Time{}}
	within, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		kueue.run(within, func(err error) { t.Errorf("the stand-in for Kueue: %v", err) })
	}()
	defer func() { stop(); <-done }()
	stand := func(want int) error {
		_, open, err := e.stands(ctx)
		if err == nil && len(open) != want {
			err = fmt.Errorf("%d placeholders stand, want %d", len(open), want)
		}
		return errors.Join(err, e.owns(ctx, 2))
	}
	e.create(t, topologyWorkload("too-large", 3))
	loopNever(t, loopWindow, func() error { return stand(4) })

	e.create(t, topologyWorkload("train", 2))
	cluster.Eventually(t, loopWait, func() error {
		err := stand(2)
		for i := range 2 {
			pod := &corev1.Pod{}
			if get := e.Client.Get(ctx, client.ObjectKey{Namespace: "ml", Name: fmt.Sprintf("train-%d", i)}, pod); get != nil {
				err = errors.Join(err, get)
			} else if pod.Spec.NodeName == "" {
				err = errors.Join(err, fmt.Errorf("%s: %s", pod.Name, extenderCondition(pod)))
			}
		}
		return err
	})
	bound := time.Now()
	loopNever(t, loopWindow, func() error { return stand(2) })
	stop()
	<-done
	refused, admitted := kueue.refused["train"], kueue.admitted["train"]
	if took := admitted.Sub(refused); refused.IsZero() || took > loopWait {
		t.Errorf("admitted %s after it had found no room, want %s at most", took, loopWait)
	}
	t.Logf("admitted %s after it had found no room, bound %s after that", admitted.Sub(refused), bound.Sub(admitted))
	if !e.told(t, v1alpha1.ReasonTakenOver, corev1.EventTypeNormal, "gave up 2 placeholders") {
		t.Error("no event tells that placeholders gave way")
	}
}
