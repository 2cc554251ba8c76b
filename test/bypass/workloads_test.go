package bypass

import (
	"math"
	"strings"
)

// workloadSubjects are kinds of replicas that Kubernetes does not have.
func workloadSubjects() []subject {
	out := []subject{
		scaledObject(),
		{group: "keda.sh", resource: "scaledjobs", rows: []row{
			{count: "spec.maxReplicaCount", with: text(`spec: {maxReplicaCount: $N, jobTargetRef: {parallelism: 2}}`), asks: times(2, 0)},
			{count: "spec.maxReplicaCount", by: "spec.jobTargetRef.parallelism", with: text(`spec: {maxReplicaCount: 2, jobTargetRef: {parallelism: $N}}`), asks: times(2, 0)},
			{count: "spec.maxReplicaCount", by: "spec.maxReplicaCount left out", with: leftOut(`spec: {jobTargetRef: {parallelism: 1}}`, `spec: {maxReplicaCount: $N}`), asks: unset(100)},
		}},
		{group: "jobset.x-k8s.io", resource: "jobsets", rows: []row{
			{count: "spec.replicatedJobs", by: "spec.replicatedJobs[].replicas", asks: times(2, 1), with: text(
				`spec: {replicatedJobs: [{name: worker, replicas: $N, template: {spec: {parallelism: 2}}}, {name: driver}]}`)},
			{count: "spec.replicatedJobs", by: "spec.replicatedJobs[].template.spec.parallelism", asks: times(2, 0), with: text(
				`spec: {replicatedJobs: [{name: worker, replicas: 2, template: {spec: {parallelism: $N}}}]}`)},
			// Server-side apply cannot empty a list with keys.
			{count: "spec.replicatedJobs", with: repeated(`spec: {replicatedJobs: $LIST}`, `{name: worker-$N, replicas: 1}`), least: 1},
			{count: "spec.replicatedJobs", by: "spec.suspend", with: switched(
				`spec: {suspend: true, replicatedJobs: [{name: worker, replicas: 50}]}`, `spec: {suspend: false, replicatedJobs: [{name: worker, replicas: $N}]}`)},
		}},
		{group: "leaderworkerset.x-k8s.io", resource: "leaderworkersets", rows: []row{
			{count: "spec.replicas", with: text(`spec: {replicas: $N, leaderWorkerTemplate: {size: 2}}`), asks: times(2, 0), scaled: true},
			{count: "spec.replicas", by: "spec.leaderWorkerTemplate.size", with: text(`spec: {replicas: 2, leaderWorkerTemplate: {size: $N}}`), asks: times(2, 0), least: 1},
		}},
		ray("rayclusters", "spec"),
		ray("rayjobs", "spec.rayClusterSpec"),
		ray("rayservices", "spec.rayClusterConfig"),
		training("pytorchjobs", "pytorchReplicaSpecs", "Master", true),
		training("tfjobs", "tfReplicaSpecs", "Chief", false),
		training("xgboostjobs", "xgbReplicaSpecs", "Master", false),
		training("paddlejobs", "paddleReplicaSpecs", "Master", true),
		training("jaxjobs", "jaxReplicaSpecs", "", true),
		mpi(),
		{group: "trainer.kubeflow.org", resource: "trainjobs", rows: []row{
			{count: "spec.trainer.numNodes", with: text(`spec: {trainer: {numNodes: $N}}`)},
			{count: "spec.trainer.numNodes", by: "spec.suspend", with: switched(`spec: {suspend: true, trainer: {numNodes: 50}}`, `spec: {suspend: false, trainer: {numNodes: $N}}`)},
		}},
	}
	replicas := []row{{count: "spec.replicas", with: text(`spec: {replicas: $N}`), scaled: true}}
	return append(out,
		subject{group: "argoproj.io", resource: "rollouts", rows: replicas},
		subject{group: "apps.openshift.io", resource: "deploymentconfigs", rows: replicas},
		subject{group: "serving.knative.dev", resource: "services", rows: []row{
			{count: "annotation autoscaling.knative.dev/max-scale", with: text(`spec: {template: {metadata: {annotations: {autoscaling.knative.dev/max-scale: "$N"}}}}`)},
			{count: "annotation autoscaling.knative.dev/min-scale", with: text(`spec: {template: {metadata: {annotations: {autoscaling.knative.dev/min-scale: "$N"}}}}`)},
		}},
	)
}

// leftOut is a text without a field above the ceiling, where its default is more.
func leftOut(without, template string) func(int64) string {
	return func(n int64) string {
		if n > atN {
			return without
		}
		return text(template)(n)
	}
}

// scaledObject has a small maximum, since a missing one means 100.
func scaledObject() subject {
	return subject{group: "keda.sh", resource: "scaledobjects", target: "apps/deployments", rows: []row{
		{count: "spec.maxReplicaCount", with: text(`spec: {maxReplicaCount: $N}`)},
		{count: "spec.maxReplicaCount", by: "spec.maxReplicaCount left out", with: leftOut(`spec: {minReplicaCount: 0}`, `spec: {maxReplicaCount: $N}`), asks: unset(100)},
		{count: "spec.minReplicaCount", with: text(`spec: {maxReplicaCount: 1, minReplicaCount: $N}`)},
		{count: "spec.idleReplicaCount", with: text(`spec: {maxReplicaCount: 1, idleReplicaCount: $N}`)},
		{count: "spec.fallback.replicas", with: text(`spec: {maxReplicaCount: 1, fallback: {failureThreshold: 3, replicas: $N}}`)},
		{count: "annotation autoscaling.keda.sh/paused-replicas", with: text(
			"metadata: {annotations: {autoscaling.keda.sh/paused-replicas: \"$N\"}}\nspec: {maxReplicaCount: 1}")},
	}}
}

// ray writes the spec of a cluster where the kind has it.
func ray(resource, cluster string) subject {
	nested := func(inner string) string {
		for _, name := range reverse(strings.Split(cluster, ".")) {
			inner = "{" + name + ": " + inner + "}"
		}
		return strings.TrimSuffix(strings.TrimPrefix(inner, "{"), "}")
	}
	groups := cluster + ".workerGroupSpecs"
	replicas, most := groups+"[].replicas", groups+"[].maxReplicas"
	withHead := times(1, 1)
	return subject{group: "ray.io", resource: resource, others: []string{"v1alpha1"}, rows: []row{
		{count: replicas, with: text(nested(`{workerGroupSpecs: [{groupName: a, replicas: $N, numOfHosts: 2}]}`)), asks: times(2, 1)},
		{count: replicas, by: groups + "[].minReplicas", with: text(nested(`{workerGroupSpecs: [{groupName: a, replicas: 0, minReplicas: $N}]}`)), asks: withHead},
		{count: replicas, by: groups + "[].numOfHosts", with: text(nested(`{workerGroupSpecs: [{groupName: a, replicas: 2, numOfHosts: $N}]}`)), asks: times(2, 1)},
		{count: replicas, by: groups, with: repeated(nested(`{workerGroupSpecs: $LIST}`), `{groupName: group-$N, replicas: 1}`), asks: withHead},
		{count: replicas, by: groups + "[].suspend", asks: withHead, with: switched(
			nested(`{workerGroupSpecs: [{groupName: a, suspend: true, replicas: 50}]}`), nested(`{workerGroupSpecs: [{groupName: a, suspend: false, replicas: $N}]}`))},
		{
			count: replicas, by: cluster + ".suspend", asks: func(n int64) int64 { return n + min(n, 1) },
			with: switched(nested(`{suspend: true, workerGroupSpecs: [{groupName: a, replicas: 50}]}`), nested(`{suspend: false, workerGroupSpecs: [{groupName: a, replicas: $N}]}`)),
		},
		{count: most, with: text(nested(`{enableInTreeAutoscaling: true, workerGroupSpecs: [{groupName: a, replicas: 0, maxReplicas: $N}]}`)), asks: withHead},
		{
			count: most, by: most + " left out", asks: func(n int64) int64 { return 1 + unset(math.MaxInt32)(n) },
			with: leftOut(nested(`{enableInTreeAutoscaling: true, workerGroupSpecs: [{groupName: a, replicas: 0}]}`), nested(`{enableInTreeAutoscaling: true, workerGroupSpecs: [{groupName: a, replicas: 0, maxReplicas: $N}]}`)),
		},
		{count: most, by: cluster + ".enableInTreeAutoscaling", asks: withHead, with: switched(
			nested(`{enableInTreeAutoscaling: false, workerGroupSpecs: [{groupName: a, replicas: 0, maxReplicas: 50}]}`),
			nested(`{enableInTreeAutoscaling: true, workerGroupSpecs: [{groupName: a, replicas: 0, maxReplicas: $N}]}`))},
	}}
}

func reverse(names []string) []string {
	out := make([]string, 0, len(names))
	for i := range names {
		out = append(out, names[len(names)-1-i])
	}
	return out
}

// training has one more pod in another role, where the kind has one.
func training(resource, specs, role string, scaled bool) subject {
	other, asks := "", times(1, 0)
	if role != "" {
		other, asks = ", "+role+": {replicas: 1}", times(1, 1)
	}
	rows := trainingRows(specs)
	rows[0].with, rows[0].asks, rows[0].scaled = text(`spec: {`+specs+`: {Worker: {replicas: $N}`+other+`}}`), asks, scaled
	rows = append(rows, row{count: "spec.elasticPolicy.maxReplicas", with: text(`spec: {elasticPolicy: {maxReplicas: $N}, ` + specs + `: {Worker: {replicas: 1}}}`)})
	return subject{group: "kubeflow.org", resource: resource, rows: rows}
}

func trainingRows(specs string) []row {
	return []row{
		{count: "spec." + specs},
		{count: "spec." + specs, by: "spec.runPolicy.suspend", with: switched(
			`spec: {runPolicy: {suspend: true}, `+specs+`: {Worker: {replicas: 50}}}`, `spec: {runPolicy: {suspend: false}, `+specs+`: {Worker: {replicas: $N}}}`)},
	}
}

func mpi() subject {
	rows := trainingRows("mpiReplicaSpecs")
	rows[0].with, rows[0].asks = text(`spec: {mpiReplicaSpecs: {Worker: {replicas: $N}, Launcher: {}}}`), times(1, 1)
	return subject{group: "kubeflow.org", resource: "mpijobs", rows: rows}
}
