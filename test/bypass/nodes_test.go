package bypass

import "slices"

// nodeSubjects are kinds of nodes, and of room for pods.
func nodeSubjects() []subject {
	replicas := row{count: "spec.replicas", with: text(`spec: {replicas: $N}`), scaled: true}
	const groupMax = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"
	group := []row{replicas, {count: "annotation " + groupMax, with: text("metadata: {annotations: {" + groupMax + ": \"$N\"}}\nspec: {replicas: 1}")}}
	newer := []string{"v1beta2"}

	// The sum of a Cluster's counts is held, so that each grows as far as the others leave room.
	clusters := []row{{count: "spec.topology", by: "spec.topology.controlPlane.replicas", asks: times(1, 1), with: text(
		`spec: {topology: {controlPlane: {replicas: $N}, workers: {machineDeployments: [{name: b, replicas: 1}]}}}`)}}
	for _, field := range []string{"machineDeployments", "machinePools"} {
		nested := func(list string) string {
			return `spec: {topology: {controlPlane: {replicas: 1}, workers: {` + field + `: ` + list + `}}}`
		}
		by := "spec.topology.workers." + field
		clusters = append(
			clusters,
			row{count: "spec.topology", by: by + "[].replicas", with: text(nested(`[{name: a, replicas: $N}, {name: b, replicas: 1}]`)), asks: times(1, 2)},
			row{count: "spec.topology", by: by, with: repeated(nested("$LIST"), `{name: group-$N, replicas: 1}`), asks: times(1, 1)},
			row{count: "spec.topology", by: by + "[] annotation " + groupMax, with: text(nested(`[{name: a, metadata: {annotations: {` + groupMax + `: "$N"}}}]`)), asks: times(1, 1)},
		)
	}
	const managed = "cluster.x-k8s.io/replicas-managed-by"
	pool := append(slices.Clone(group), row{count: "spec.replicas", by: "annotation " + managed, with: switched(
		"metadata: {annotations: {"+managed+": external-autoscaler}}\nspec: {replicas: 50}", `spec: {replicas: $N}`)})

	unscaled := replicas
	unscaled.scaled = false
	return []subject{
		{group: "cluster.x-k8s.io", resource: "machinedeployments", others: newer, rows: group},
		{group: "cluster.x-k8s.io", resource: "machinesets", others: newer, rows: group},
		{group: "cluster.x-k8s.io", resource: "machinepools", others: newer, rows: pool},
		{group: "cluster.x-k8s.io", resource: "clusters", others: newer, rows: clusters},
		{group: "controlplane.cluster.x-k8s.io", resource: "kubeadmcontrolplanes", others: newer, rows: []row{replicas}},
		{group: "machine.openshift.io", resource: "machinesets", rows: []row{replicas}},
		{group: "autoscaling.openshift.io", resource: "machineautoscalers", target: "machine.openshift.io/machinesets", rows: []row{
			{count: "spec.maxReplicas", with: text(`spec: {minReplicas: 0, maxReplicas: $N}`)},
		}},
		{group: "autoscaling.openshift.io", resource: "clusterautoscalers", rows: []row{
			{count: "spec.resourceLimits.maxNodesTotal", with: text(`spec: {resourceLimits: {maxNodesTotal: $N}}`)},
		}},
		{group: "karpenter.sh", resource: "nodepools", rows: []row{
			replicas, {count: "spec.limits.nodes", with: text(`spec: {limits: {nodes: "$N"}}`)},
		}},
		{group: "forewarm.dev", resource: "warmpools"},
		{group: "autoscaling.x-k8s.io", resource: "capacitybuffers", others: []string{"v1alpha1"}, rows: []row{unscaled}},
		{group: "autoscaling.x-k8s.io", resource: "provisioningrequests", others: []string{"v1beta1"}, rows: []row{
			{count: "spec.podSets", by: "spec.podSets[].count", with: text(`spec: {podSets: [{count: $N}, {count: 1}]}`), asks: times(1, 1)},
			{count: "spec.podSets", with: repeated(`spec: {podSets: $LIST}`, `{count: 1}`)},
		}},
	}
}
