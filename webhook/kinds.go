package webhook

import (
	"math"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook/expression"
)

// Measure is what the numbers of a kind count, and so which annotation bounds them.
type Measure string

// Measures.
const (
	// Replicas are bounded by [MaxReplicas].
	Replicas Measure = "replicas"
	// Nodes are bounded by [MaxNodes].
	Nodes Measure = "nodes"
)

// Kind says where the objects of one kind ask for replicas or nodes.
type Kind struct {
	// Group, Version and Resource name the kind as a webhook rule does. Objects of other
	// versions arrive converted to this one (matchPolicy Equivalent), where the server has it.
	Group, Version, Resource string
	// Others are versions that say the same in the same places: a server may have one of those
	// only. See [Kind.Versions].
	Others []string
	// Name is the kind, as people write it.
	Name string
	// Cluster is true for kinds without a namespace.
	Cluster bool
	// Measure is what Counts count.
	Measure Measure
	// Counts are the numbers that must not grow past the ceiling, each on its own.
	Counts []Count
	// Scaled is the path that /scale writes, where that alone is not the count; empty where it is.
	Scaled string
	// Target is the path to the reference (kind, name, apiVersion) of the workload whose
	// ceiling counts; empty where the object itself is the workload.
	Target string
	// Vouches is true where an object of this kind, which is itself held to the ceiling, answers
	// for the objects that it controls: they may reach its count and Surge.
	Vouches bool
	// Groups says of which objects of their own the objects' pods come in part, nil where of none.
	Groups *Groups
	// Deployer is the ServiceAccount of their namespace as which a rollout of the kind's objects scales
	// what they control; empty where their controller does that itself.
	Deployer string
	// Surge are the paths at one of which maxSurge stands, a number or a percentage: its versions
	// need not agree.
	Surge []string
	// Warn is true where a growth is told, not refused: what comes of it is held later.
	Warn bool
	// Instances says where the objects name the instance types of their nodes, nil for kinds that
	// have none.
	Instances *expression.Selection
	// Keeps is true where the objects keep capacity in chunks, whose min needs nodes; how many, only
	// the nodes tell ([LeastNodes]).
	Keeps bool
	// Indirect is true where the objects run no pods themselves, so that totals leave them out.
	Indirect bool
	// PodsOf is the path to a reference (apiVersion, kind, name) to the object of the same namespace that has
	// the pod template, where an object has none of its own; empty for most kinds.
	PodsOf string
	// Made is true where what the objects control says how much there is of them, and is held to their ceiling.
	Made bool
}

// Versions are those in which objects of the kind are read, the one that is asked for first.
func (k Kind) Versions() []string { return append([]string{k.Version}, k.Others...) }

// In is the kind's resource in one of its versions.
func (k Kind) In(version string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: version, Resource: k.Resource}
}

// Count is one number of an object.
type Count struct {
	// Field names it in messages.
	Field string
	// Of says where it stands.
	Of expression.Expression
	// Templates are where the pod templates stand, one for each product of Of, from where its
	// values are read; see podAsks. None means spec.template of the object.
	Templates []string
}

// Annotation is the annotation that bounds the kind's objects.
func (k Kind) Annotation() string {
	if k.Measure == Nodes {
		return MaxNodes
	}
	return MaxReplicas
}

// defaultSurge is what Deployments, and what imitates them, take where none is given.
const defaultSurge = "25%"

// Bound is the most that an object of the kind gives to one that it controls. A surge is no more than
// the count: no rollout needs more, and whoever may write the object may write any surge.
func (k Kind) Bound(object any) int64 {
	most := int64(0)
	for _, count := range k.Counts {
		most = max(most, count.Of.Evaluate(object))
	}
	if len(k.Surge) == 0 {
		return most
	}
	surge := intstr.FromString(defaultSurge)
	for _, path := range k.Surge {
		switch v := expression.Path(strings.Split(path, ".")).Of(object).(type) {
		case int64:
			return quantity.Add(most, min(max(v, 0), most))
		case string:
			surge = intstr.Parse(v)
		}
	}
	extra, err := intstr.GetScaledValueFromIntOrPercent(&surge, int(min(most, math.MaxInt32)), true)
	if err != nil {
		return most
	}
	return quantity.Add(most, min(max(int64(extra), 0), most))
}

// ScaledTo is what an object asks for by its first count when /scale writes a number. The
// object, decoded from JSON, is changed.
func (k Kind) ScaledTo(object map[string]any, n int64) int64 {
	names := strings.Split(k.Scaled, ".")
	at := object
	for _, name := range names[:len(names)-1] {
		inner, ok := at[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[name] = inner
		}
		at = inner
	}
	at[names[len(names)-1]] = n
	return k.Counts[0].Of.Evaluate(object)
}

// Kinds is the built-in table: every kind whose count grows some other way than by /scale,
// which is reviewed for all kinds. The numbers follow the kinds' API references; absent
// ones mean what the kind's controller takes for them.
func Kinds() []Kind {
	kinds := append(workloadKinds(), nodeKinds()...)
	for i := range kinds {
		for j, templates := range podTemplates(kinds[i]) {
			kinds[i].Counts[j].Templates = templates
		}
		if kinds[i].Measure == "" {
			kinds[i].Measure = Replicas
		}
	}
	return kinds
}

// replicasField is where most kinds state their count, and every Scale.
const replicasField = "spec.replicas"

func workloadKinds() []Kind {
	replicas := counts(replicasField, "spec.replicas=1")
	return []Kind{
		{Group: "apps", Version: "v1", Resource: "deployments", Name: "Deployment", Counts: replicas, Vouches: true, Surge: []string{"spec.strategy.rollingUpdate.maxSurge"}},
		{Group: "apps", Version: "v1", Resource: "statefulsets", Name: "StatefulSet", Counts: replicas},
		{Group: "apps", Version: "v1", Resource: "replicasets", Name: "ReplicaSet", Counts: replicas},
		{Group: "", Version: "v1", Resource: "replicationcontrollers", Name: "ReplicationController", Counts: replicas},
		{Group: "batch", Version: "v1", Resource: "jobs", Name: "Job", Counts: counts("spec.parallelism", "min(spec.parallelism=1, spec.completions=2147483647) * not(spec.suspend)")},
		{Group: "batch", Version: "v1", Resource: "cronjobs", Name: "CronJob", Warn: true, Counts: counts("spec.jobTemplate.spec.parallelism",
			"min(spec.jobTemplate.spec.parallelism=1, spec.jobTemplate.spec.completions=2147483647) * not(spec.suspend)")},
		{
			Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers", Name: "HorizontalPodAutoscaler", Target: "spec.scaleTargetRef",
			Counts: counts("spec.maxReplicas", "spec.maxReplicas=0", "spec.minReplicas", "spec.minReplicas=1"),
		},
		{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects", Name: "ScaledObject", Target: "spec.scaleTargetRef", Vouches: true, Counts: counts(
			"spec.maxReplicaCount", "spec.maxReplicaCount=100", "spec.minReplicaCount", "spec.minReplicaCount=0",
			"spec.idleReplicaCount", "spec.idleReplicaCount=0", "spec.fallback.replicas", "spec.fallback.replicas=0",
			"annotation autoscaling.keda.sh/paused-replicas", "@autoscaling.keda.sh/paused-replicas=0")},
		{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledjobs", Name: "ScaledJob", Vouches: true, Counts: counts(
			"spec.maxReplicaCount", "spec.maxReplicaCount=100 * spec.jobTargetRef.parallelism=1")},
		{Group: "jobset.x-k8s.io", Version: "v1alpha2", Resource: "jobsets", Name: "JobSet", Vouches: true, Counts: counts(
			"spec.replicatedJobs", "spec.replicatedJobs[]: replicas=1 * template.spec.parallelism=1 * not(/spec.suspend)")},
		{Group: "leaderworkerset.x-k8s.io", Version: "v1", Resource: "leaderworkersets", Name: "LeaderWorkerSet", Vouches: true, Scaled: replicasField, Groups: leaderWorkers(), Counts: counts(
			"spec.replicas", "spec.replicas=1 * spec.leaderWorkerTemplate.size=1")},
		ray("rayclusters", "RayCluster", "spec"),
		ray("rayjobs", "RayJob", "spec.rayClusterSpec"),
		ray("rayservices", "RayService", "spec.rayClusterConfig"),
		training("pytorchjobs", "PyTorchJob", "pytorchReplicaSpecs"),
		training("tfjobs", "TFJob", "tfReplicaSpecs"),
		training("xgboostjobs", "XGBoostJob", "xgbReplicaSpecs"),
		training("paddlejobs", "PaddleJob", "paddleReplicaSpecs"),
		training("jaxjobs", "JAXJob", "jaxReplicaSpecs"),
		// v2beta1 is of the MPI operator, v1 of the training operator.
		{Group: "kubeflow.org", Version: "v2beta1", Others: []string{"v1"}, Resource: "mpijobs", Name: "MPIJob", Vouches: true, Counts: counts(
			"spec.mpiReplicaSpecs", "spec.mpiReplicaSpecs{}: replicas=1 * not(/spec.runPolicy.suspend)")},
		// Where it leaves numNodes out, its runtime says how many; so its JobSet counts, which is made of both.
		{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainjobs", Name: "TrainJob", Indirect: true, Made: true, Counts: counts(
			"spec.trainer.numNodes", "spec.trainer.numNodes=1 * not(spec.suspend)")},
		{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts", Name: "Rollout", Counts: replicas, Vouches: true, PodsOf: "spec.workloadRef", Surge: []string{"spec.strategy.canary.maxSurge"}},
		{
			Group: "apps.openshift.io", Version: "v1", Resource: "deploymentconfigs", Name: "DeploymentConfig", Vouches: true, Deployer: "deployer",
			Counts: counts("spec.replicas", "spec.replicas=0"), Surge: []string{"spec.strategy.rollingParams.maxSurge"},
		},
		{Group: "serving.knative.dev", Version: "v1", Resource: "services", Name: "Service", Indirect: true, Counts: counts(
			"annotation autoscaling.knative.dev/max-scale", "@spec.template:autoscaling.knative.dev/max-scale=0",
			"annotation autoscaling.knative.dev/min-scale", "@spec.template:autoscaling.knative.dev/min-scale=0")},
	}
}

func nodeKinds() []Kind {
	replicas := []string{replicasField, "spec.replicas=1"}
	group := append(replicas, "annotation "+nodeGroupMax, "@"+nodeGroupMax+"=0")
	kinds := []Kind{
		{Group: "cluster.x-k8s.io", Version: "v1beta1", Resource: "machinedeployments", Name: "MachineDeployment", Counts: counts(group...), Vouches: true, Surge: []string{
			"spec.strategy.rollingUpdate.maxSurge", "spec.rollout.strategy.rollingUpdate.maxSurge",
		}},
		{Group: "cluster.x-k8s.io", Version: "v1beta1", Resource: "machinesets", Name: "MachineSet", Counts: counts(group...)},
		// Where somebody else manages the replicas, the object only says how many were seen.
		{Group: "cluster.x-k8s.io", Version: "v1beta1", Resource: "machinepools", Name: "MachinePool", Counts: counts(
			replicasField, "spec.replicas=1 * not(@cluster.x-k8s.io/replicas-managed-by)", "annotation "+nodeGroupMax, "@"+nodeGroupMax+"=0")},
		{Group: "cluster.x-k8s.io", Version: "v1beta1", Resource: "clusters", Name: "Cluster", Counts: counts("spec.topology", "spec.topology.controlPlane.replicas=0"+
			" + spec.topology.workers.machineDeployments[]: max(replicas=0, @"+nodeGroupMax+"=0)"+
			" + spec.topology.workers.machinePools[]: max(replicas=0, @"+nodeGroupMax+"=0)")},
		{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta1", Resource: "kubeadmcontrolplanes", Name: "KubeadmControlPlane", Counts: counts(replicas...)},
		{Group: "machine.openshift.io", Version: "v1beta1", Resource: "machinesets", Name: "MachineSet", Counts: counts(replicas...)},
		{Group: "autoscaling.openshift.io", Version: "v1beta1", Resource: "machineautoscalers", Name: "MachineAutoscaler", Counts: counts("spec.maxReplicas", "spec.maxReplicas=0"), Target: "spec.scaleTargetRef"},
		{Group: "autoscaling.openshift.io", Version: "v1", Resource: "clusterautoscalers", Name: "ClusterAutoscaler", Cluster: true, Counts: counts(
			"spec.resourceLimits.maxNodesTotal", "spec.resourceLimits.maxNodesTotal=0")},
		nodePools(),
		// Its placeholders are held to max-nodes by the reserver.
		{
			Group: "forewarm.dev", Version: "v1alpha1", Resource: "warmpools", Name: "WarmPool", Cluster: true, Keeps: true,
			Instances: &expression.Selection{Requirements: "spec.nodes.selector.matchExpressions", Labels: "spec.nodes.selector.matchLabels"},
		},
		{Group: "autoscaling.x-k8s.io", Version: "v1beta1", Others: []string{"v1alpha1"}, Resource: "capacitybuffers", Name: "CapacityBuffer", Indirect: true, Counts: counts("spec.replicas", "spec.replicas=0")},
		{Group: "autoscaling.x-k8s.io", Version: "v1", Others: []string{"v1beta1"}, Resource: "provisioningrequests", Name: "ProvisioningRequest", Indirect: true, Counts: counts("spec.podSets", "spec.podSets[]: count=1")},
	}
	for i := range kinds {
		// Buffers and provisioning requests ask for room for pods, in chunks, not for nodes.
		if kinds[i].Group != "autoscaling.x-k8s.io" {
			kinds[i].Measure = Nodes
		}
		if strings.HasSuffix(kinds[i].Group, "cluster.x-k8s.io") {
			kinds[i].Others = []string{"v1beta2"}
		}
	}
	return kinds
}

// NodePools are what Karpenter calls the groups of nodes that it buys.
var NodePools = Kind{Group: NodeClaims.Group, Version: "v1", Resource: "nodepools", Name: "NodePool", Cluster: true}

// NodePoolOf is the label that Karpenter sets on each NodeClaim and its node to the name of its
// NodePool.
const NodePoolOf = "karpenter.sh/nodepool"

func nodePools() Kind {
	k := NodePools
	k.Counts = counts("spec.replicas", "spec.replicas=0", "spec.limits.nodes", "spec.limits.nodes=0")
	k.Instances = &expression.Selection{Requirements: "spec.template.spec.requirements", Labels: "spec.template.metadata.labels", Asks: true}
	return k
}

// nodeGroupMax is the size up to which Cluster Autoscaler may grow a group.
const nodeGroupMax = "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size"

// Machines are what Cluster API asks for nodes by. They have no count; each is one node of the
// Cluster that their label [ClusterOfMachine] names.
var Machines = Kind{
	Group: "cluster.x-k8s.io", Version: "v1beta1", Others: []string{"v1beta2"}, Resource: "machines", Name: "Machine", Measure: Nodes,
}

// ClusterOfMachine is the label that Cluster API sets on each Machine, on every write, to the name
// of its Cluster in the same namespace.
const ClusterOfMachine = "cluster.x-k8s.io/cluster-name"

// ray counts the head and the workers of a RayCluster: as asked for, of which KubeRay makes no less
// than minReplicas, and as its own autoscaler may ask for.
func ray(resource, kind, cluster string) Kind {
	groups := "1 * not(" + cluster + ".suspend) + " + cluster + ".workerGroupSpecs[]: "
	return Kind{Group: "ray.io", Version: "v1", Resource: resource, Name: kind, Vouches: true, Counts: counts(
		cluster+".workerGroupSpecs[].replicas", groups+"max(replicas=0, minReplicas=0) * numOfHosts=1 * not(suspend) * not(/"+cluster+".suspend)",
		cluster+".workerGroupSpecs[].maxReplicas", groups+"maxReplicas=2147483647 * numOfHosts=1 * is(/"+cluster+".enableInTreeAutoscaling) * not(suspend) * not(/"+cluster+".suspend)")}
}

// leaderWorkers are a LeaderWorkerSet's groups, whose workers come of a StatefulSet each.
func leaderWorkers() *Groups {
	size := counts("size", "spec.leaderWorkerTemplate.size=1")[0]
	size.Templates = []string{"/spec.leaderWorkerTemplate.workerTemplate"}
	return &Groups{Size: size, Replicas: counts("", "spec.replicas=1")[0].Of, Surge: "spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge"}
}

// training counts the replicas of all roles of a job of Kubeflow's training operator.
func training(resource, kind, specs string) Kind {
	return Kind{Group: "kubeflow.org", Version: "v1", Resource: resource, Name: kind, Vouches: true, Scaled: "spec." + specs + ".Worker.replicas", Counts: counts(
		"spec."+specs, "spec."+specs+"{}: replicas=1 * not(/spec.runPolicy.suspend)",
		"spec.elasticPolicy.maxReplicas", "spec.elasticPolicy.maxReplicas=0")}
}

// counts pairs fields with expressions. The table is fixed, so a bad one is a bug.
func counts(pairs ...string) []Count {
	var out []Count
	for i := 0; i+1 < len(pairs); i += 2 {
		e, err := expression.Parse(pairs[i+1])
		if err != nil {
			panic(err)
		}
		out = append(out, Count{Field: pairs[i], Of: e})
	}
	return out
}
