package bypass

// nodeSubjects are kinds of nodes, and of room for pods.
func nodeSubjects() []subject {
	replicas := row{count: "spec.replicas", with: text(`spec: {replicas: $N}`), scaled: true}
	const groupMax = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"
	group := []row{replicas, {count: "annotation " + groupMax, with: text("metadata: {annotations: {" + groupMax + ": \"$N\"}}\nspec: {replicas: 1}")}}
	newer := []string{"v1beta2"}

	workers := func(field string) []row {
		count := "spec.topology.workers." + field
		nested := func(list string) string { return `spec: {topology: {workers: {` + field + `: ` + list + `}}}` }
		return []row{
			{count: count, by: count + "[].replicas", with: text(nested(`[{name: a, replicas: $N}, {name: b, replicas: 1}]`)), asks: times(1, 1)},
			{count: count, with: repeated(nested("$LIST"), `{name: group-$N, replicas: 1}`)},
			{count: count, by: count + "[] annotation " + groupMax, with: text(nested(`[{name: a, metadata: {annotations: {` + groupMax + `: "$N"}}}]`))},
		}
	}
	clusters := append([]row{{count: "spec.topology.controlPlane.replicas", with: text(`spec: {topology: {controlPlane: {replicas: $N}}}`)}}, workers("machineDeployments")...)
	clusters = append(clusters, workers("machinePools")...)

	unscaled := replicas
	unscaled.scaled = false
	return []subject{
		{group: "cluster.x-k8s.io", resource: "machinedeployments", others: newer, rows: group},
		{group: "cluster.x-k8s.io", resource: "machinesets", others: newer, rows: group},
		{group: "cluster.x-k8s.io", resource: "machinepools", others: newer, rows: group},
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
