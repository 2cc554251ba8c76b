package bypass

const (
	selector = `selector: {matchLabels: {app: it}}`
	template = `template: {metadata: {labels: {app: it}}, spec: {containers: [{name: main, image: example.com/none}]}}`
	oneShot  = `template: {metadata: {labels: {app: it}}, spec: {restartPolicy: Never, containers: [{name: main, image: example.com/none}]}}`
)

// nativeSubjects are the kinds of Kubernetes.
func nativeSubjects() []subject {
	replicas := []row{{count: "spec.replicas", with: text(`spec: {replicas: $N}`), scaled: true}}
	return []subject{
		{group: "apps", resource: "deployments", native: true, object: "spec: {" + selector + ", " + template + "}", rows: replicas},
		{group: "apps", resource: "statefulsets", native: true, object: "spec: {serviceName: it, " + selector + ", " + template + "}", rows: replicas},
		{group: "apps", resource: "replicasets", native: true, object: "spec: {" + selector + ", " + template + "}", rows: replicas},
		{group: "", resource: "replicationcontrollers", native: true, object: "spec: {selector: {app: it}, " + template + "}", rows: replicas},
		{group: "batch", resource: "jobs", native: true, object: "spec: {" + oneShot + "}", status: `status: {active: 1}`, rows: []row{
			{count: "spec.parallelism", with: text(`spec: {parallelism: $N}`)},
			{count: "spec.parallelism", by: "spec.suspend", with: switched(`spec: {suspend: true, parallelism: 50}`, `spec: {suspend: false, parallelism: $N}`)},
		}},
		{
			group: "batch", resource: "cronjobs", native: true, object: "spec: {schedule: '0 0 1 1 *', jobTemplate: {spec: {" + oneShot + "}}}",
			status: `status: {lastScheduleTime: "2026-01-01T00:00:00Z"}`, rows: []row{
				{count: "spec.jobTemplate.spec.parallelism", with: text(`spec: {jobTemplate: {spec: {parallelism: $N}}}`)},
				{count: "spec.jobTemplate.spec.parallelism", by: "spec.suspend", with: switched(
					`spec: {suspend: true, jobTemplate: {spec: {parallelism: 50}}}`, `spec: {suspend: false, jobTemplate: {spec: {parallelism: $N}}}`)},
			},
		},
		{
			group: "autoscaling", resource: "horizontalpodautoscalers", native: true, others: []string{"v1"}, target: "apps/deployments", rows: []row{
				{count: "spec.maxReplicas", with: text(`spec: {minReplicas: 1, maxReplicas: $N}`), least: 1, above: hpaReplicasAbove},
				// The API wants no less of maxReplicas, which so grows along.
				{count: "spec.minReplicas", with: text(`spec: {minReplicas: $N, maxReplicas: $N}`), least: 1, above: hpaReplicasAbove},
			},
		},
	}
}
