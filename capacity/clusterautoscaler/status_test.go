package clusterautoscaler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
)

// written is a status as Cluster Autoscaler 1.30 and later writes it.
const written = `time: 2026-11-29 09:00:00.09 +0000 UTC
autoscalerStatus: Running
clusterWide:
  health: {status: Healthy, lastProbeTime: "2026-11-29T09:00:00Z"}
  scaleUp: {status: InProgress}
nodeGroups:
- name: eks-a100-3ec1
  health:
    status: Healthy
    nodeCounts: {registered: {total: 1, ready: 1, notStarted: 0, unready: {total: 0, resourceUnready: 0}}, longUnregistered: 0, unregistered: 0}
    cloudProviderTarget: 1
    minSize: 0
    maxSize: 5
  scaleUp:
    status: Backoff
    backoffInfo: {errorCode: InsufficientInstanceCapacity, errorMessage: no p4d in zone a}
- name: eks-a100-spot-77
  health: {cloudProviderTarget: 4, minSize: 0, maxSize: 4}
  scaleUp: {status: NoActivity}
- name: eks-a1000-3ec1
  health: {cloudProviderTarget: 1, minSize: 0, maxSize: 1}
  scaleUp: {status: Backoff}
- name: https://content.googleapis.com/compute/v1/projects/p/zones/z/instanceGroups/gke-c-h100-1-grp
  health: {cloudProviderTarget: 0, minSize: 0, maxSize: 5}
  scaleUp: {status: NoActivity}
- name: empty
  health: {cloudProviderTarget: 0, minSize: 0, maxSize: 5}
  scaleUp: {status: Backoff}
`

func TestRefusals(t *testing.T) {
	const older = "Cluster-autoscaler status at 2026-11-29 09:00:00 UTC:\nCluster-wide:\n  Health:      Healthy (ready=1)\nNodeGroups:\n  Name:        a100\n  ScaleUp:     Backoff (ready=1)\n"
	for name, c := range map[string]struct{ written, words, want string }{
		"of the pool":     {written, "a100", "node group eks-a100-3ec1 is in backoff: InsufficientInstanceCapacity: no p4d in zone a|node group eks-a100-spot-77 is at its maximum of 4 nodes"},
		"of its group":    {written, "a100-spot", "node group eks-a100-spot-77 is at its maximum of 4 nodes"},
		"it may grow":     {written, "h100", ""},
		"of no group":     {written, "a10", ""},
		"of no pool":      {written, "", ""},
		"no reason given": {written, "empty", "node group empty is in backoff"},
		"an older format": {older, "a100", ""},
		"no autoscaler":   {"", "a100", ""},
	} {
		build := fake.NewClientBuilder()
		if c.written != "" {
			build = build.WithObjects(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cluster-autoscaler-status"}, Data: map[string]string{"status": c.written}})
		}
		read, err := Read(t.Context(), build.Build())
		if diff := cmp.Diff(c.want, strings.Join(read.Refusals([]string{c.words}), "|")); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestWords(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Nodes.Selector = metav1.LabelSelector{
		MatchLabels:      map[string]string{"pool": "a100", "gpu": "true"},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "type", Operator: metav1.LabelSelectorOpIn, Values: []string{"p4d"}}, {Key: "type", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"p5"}}},
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"eks.amazonaws.com/nodegroup": "workers", "other": "x"}}}
	if got := strings.Join(Words(pool, []*corev1.Node{node, node}), " "); got != "a100 p4d workers" {
		t.Errorf("%q", got)
	}
}
