package watch

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"forewarm.dev/extender"
	"forewarm.dev/extender/handler"
	"forewarm.dev/internal/quantity"
)

// wholePod is one as an API server of a busy cluster sends it.
func wholePod(i int, node string) *corev1.Pod {
	name := fmt.Sprintf("worker-7d9c5b4f6-%06d", i)
	text := fmt.Sprintf(`{
		"metadata": {"name": %[1]q, "namespace": "team-%[2]d", "uid": "0b1c2d3e-0000-4000-8000-%012[3]d", "resourceVersion": "%[3]d", "creationTimestamp": "2026-11-30T10:00:00Z",
			"labels": {"app": "worker", "pod-template-hash": "7d9c5b4f6", "team": "team-%[2]d", "app.kubernetes.io/version": "1.2.3"},
			"annotations": {"prometheus.io/scrape": "true", "kubectl.kubernetes.io/last-applied-configuration": %[5]q},
			"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "worker-7d9c5b4f6", "uid": "11111111-0000-4000-8000-000000000000", "controller": true}],
			"managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:phase": {}}}}]},
		"spec": {"nodeName": %[4]q, "schedulerName": "default-scheduler", "serviceAccountName": "worker", "priority": 100, "restartPolicy": "Always",
			"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}, {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
			"volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}, {"name": "config", "configMap": {"name": "worker"}}],
			"containers": [{"name": "main", "image": "registry.example.com/team/worker:1.2.3", "command": ["/bin/worker"], "args": ["--config", "/etc/worker.yaml"],
				"env": [%[6]s], "ports": [{"containerPort": 8080, "protocol": "TCP"}],
				"livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}}, "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}},
				"resources": {"requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}},
				"volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets"}, {"name": "config", "mountPath": "/etc"}]}]},
		"status": {"phase": "Running", "podIP": "10.1.2.3", "hostIP": "10.0.0.1", "startTime": "2026-11-30T10:00:05Z",
			"conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-30T10:00:00Z"}, {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-11-30T10:00:00Z"}, {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-30T10:00:00Z"}],
			"containerStatuses": [{"name": "main", "ready": true, "image": "registry.example.com/team/worker:1.2.3", "imageID": "registry.example.com/team/worker@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "containerID": "containerd://0123456789abcdef", "state": {"running": {"startedAt": "2026-11-30T10:00:05Z"}},
				"allocatedResources": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}, "resources": {"requests": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}}]}
	}`, name, i%500, i, node, strings.Repeat("x", 1500), environment)
	pod := &corev1.Pod{}
	if err := json.Unmarshal([]byte(text), pod); err != nil {
		panic(err)
	}
	return pod
}

var environment = func() string {
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf(`{"name": "SETTING_%d", "value": "https://service-%d.example.com/path"}`, i, i))
	}
	return strings.Join(all, ", ")
}()

func wholeNode(i int) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%05d", i), UID: types.UID(fmt.Sprint("node-", i)), ResourceVersion: fmt.Sprint(i), Labels: map[string]string{}}}
	for j := range 30 {
		n.Labels[fmt.Sprintf("example.com/label-%d", j)] = fmt.Sprintf("value-%d-%d", i%100, j)
	}
	n.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("16"), "cpu": resource.MustParse("96"), "memory": resource.MustParse("1Ti"), "pods": resource.MustParse("110")}
	n.Status.Capacity = n.Status.Allocatable.DeepCopy()
	for j := range 50 {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{fmt.Sprintf("registry.example.com/team/image-%d@sha256:%064d", j, i), fmt.Sprintf("registry.example.com/team/image-%d:%d", j, i)}})
	}
	return n
}

// TestSlimLeavesWhatDecides: a pod and a node say the same without what is left out.
func TestSlimLeavesWhatDecides(t *testing.T) {
	pod := wholePod(1, "n")
	pod.Status.NominatedNodeName = "n"
	pod.Spec.Containers[0].Ports[0].HostPort = 80
	pod.Spec.InitContainers = []corev1.Container{{Name: "sidecar", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}}}}
	pod.Status.ContainerStatuses[0].AllocatedResources["cpu"] = resource.MustParse("2")
	out, err := Slim(pod.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	slim := out.(*corev1.Pod)
	if diff := cmp.Diff(quantity.OfPod(pod), quantity.OfPod(slim)); diff != "" {
		t.Errorf("requests (-whole +slim):\n%s", diff)
	}
	if !extender.Alike(pod, slim) || extender.Plain(slim) || extender.Tied(pod) != extender.Tied(slim) || handler.Ended(slim) {
		t.Error("the slim one is another pod to the extender")
	}
	if diff := cmp.Diff(pod.Status.Conditions, slim.Status.Conditions); diff != "" || slim.Status.NominatedNodeName != "n" || slim.Labels["app"] != "worker" || len(slim.OwnerReferences) != 1 {
		t.Errorf("conditions (-whole +slim):\n%s\nstatus %v", diff, slim.Status)
	}
	if slim.Spec.Containers[0].Env != nil || slim.Annotations[corev1.LastAppliedConfigAnnotation] != "" || slim.ManagedFields != nil {
		t.Error("what nobody looks at is kept")
	}
	node := wholeNode(1)
	out, err = Slim(node.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	if n := out.(*corev1.Node); len(n.Status.Images) > 0 || !cmp.Equal(n.Status.Allocatable, node.Status.Allocatable) || !cmp.Equal(n.Labels, node.Labels) {
		t.Errorf("the node became %v", n)
	}
}

// BenchmarkMemory tells what the caches and the index hold of 10,000 nodes and 100,000 pods, with what watches
// send as it is, and as it is kept. It makes a tenth of them, and counts it ten times.
func BenchmarkMemory(b *testing.B) {
	for name, transform := range map[string]toolscache.TransformFunc{"whole": cache.TransformStripManagedFields(), "slim": Slim} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				x, pods, nodes := handler.NewIndex("hold"), store(), store()
				keep := func(into toolscache.Store, o any) any {
					kept, err := transform(o)
					if err == nil {
						err = into.Add(kept)
					}
					if err != nil {
						b.Fatal(err)
					}
					return kept
				}
				for i := range 1_000 {
					x.SetNode(keep(nodes, wholeNode(i)).(*corev1.Node))
				}
				for i := range 10_000 {
					x.SetPod(keep(pods, wholePod(i, fmt.Sprintf("node-%05d", i/10))).(*corev1.Pod))
				}
				all := heap() - before
				runtime.KeepAlive(x)
				x = nil
				caches := heap() - before
				b.ReportMetric(10*float64(all)/(1<<20), "MiB")
				b.ReportMetric(10*float64(all-caches)/(1<<20), "MiB-of-index")
				runtime.KeepAlive(pods)
				runtime.KeepAlive(nodes)
			}
		})
	}
}

func store() toolscache.Store {
	return toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc})
}

// heap is what is in use after a garbage collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
