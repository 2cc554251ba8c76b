package webhook

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// GPUs are bounded by [MaxGPUs]. A whole device, a MIG slice and a time-sliced share count as
// one each: they are what a pod asks the device plugin for.
const GPUs Measure = "GPUs"

// Amounts are what an object takes of each total.
type Amounts struct{ Replicas, GPUs, Nodes int64 }

func (a Amounts) of(m Measure) int64 {
	switch m {
	case Nodes:
		return a.Nodes
	case GPUs:
		return a.GPUs
	default:
		return a.Replicas
	}
}

// most is the greater of both, each by itself.
func (a Amounts) most(b Amounts) Amounts {
	return Amounts{max(a.Replicas, b.Replicas), max(a.GPUs, b.GPUs), max(a.Nodes, b.Nodes)}
}

// NodeClaims are what Karpenter asks for nodes by. They have no count; each is one node.
var NodeClaims = Kind{Group: "karpenter.sh", Version: "v1", Resource: "nodeclaims", Name: "NodeClaim", Cluster: true, Measure: Nodes}

// ClaimsNode says whether a NodeClaim counts as a node: one that is being deleted, or that
// Karpenter is replacing, does not.
func ClaimsNode(claim any) bool {
	if path([]string{"metadata", "deletionTimestamp"}).of(claim) != nil {
		return false
	}
	conditions, _ := path([]string{"status", "conditions"}).of(claim).([]any)
	for _, c := range conditions {
		kind, _ := Text(c, "type")
		status, _ := Text(c, "status")
		if kind == "DisruptionReason" && status == "True" {
			return false
		}
	}
	return true
}

// Counted says whether the kind's objects count for the totals of their Namespace. Those that
// run no pods themselves do not: what comes of them does.
func (k Kind) Counted() bool {
	return k.Measure == Replicas && !k.Cluster && !k.Warn && !k.Indirect && k.Target == ""
}

// Amounts are what an object of the kind takes of the totals of its Namespace. Of several
// counts, such as what is asked for now and what an autoscaler may ask for, the highest counts.
func (k Kind) Amounts(object any) Amounts {
	var a Amounts
	for _, c := range k.Counts {
		a = a.most(Amounts{Replicas: c.Of.Evaluate(object), GPUs: c.gpus(object)})
	}
	return a
}

// podTemplates are [Count.Templates] of a kind of the table, for each of its counts.
func podTemplates(k Kind) [][]string {
	switch k.Group + "/" + k.Resource {
	case "keda.sh/scaledjobs":
		return [][]string{{"/spec.jobTargetRef.template"}}
	case "jobset.x-k8s.io/jobsets":
		return [][]string{{"template.spec.template"}}
	case "leaderworkerset.x-k8s.io/leaderworkersets":
		return [][]string{{"/spec.leaderWorkerTemplate.workerTemplate|/spec.leaderWorkerTemplate.leaderTemplate"}}
	case "ray.io/rayclusters":
		return twice("/spec.headGroupSpec.template", "template")
	case "ray.io/rayjobs":
		return twice("/spec.rayClusterSpec.headGroupSpec.template", "template")
	case "ray.io/rayservices":
		return twice("/spec.rayClusterConfig.headGroupSpec.template", "template")
	case "kubeflow.org/mpijobs":
		return [][]string{{"template"}}
	case "trainer.kubeflow.org/trainjobs":
		// The pods come from a runtime; the object says what a node of it gets.
		return [][]string{{"/spec.trainer.resourcesPerNode"}}
	}
	if specs, is := strings.CutSuffix(k.Scaled, ".Worker.replicas"); is {
		return [][]string{{"template"}, {"/" + specs + ".Worker.template"}}
	}
	return nil
}

// twice is for Ray: as asked for, and as its autoscaler may ask for.
func twice(templates ...string) [][]string { return [][]string{templates, templates} }

// gpus multiplies what each product of the count stands for by the GPUs of one of its pods.
func (c Count) gpus(object any) int64 {
	sum := int64(0)
	for i, t := range c.Of.terms {
		template := "/spec.template"
		if i < len(c.Templates) {
			template = c.Templates[i]
		}
		for at := range t.elements(object) {
			if pods := t.product(object, at); pods > 0 {
				sum = add(sum, multiply(pods, gpusPerPod(template, object, at)))
			}
		}
	}
	return sum
}

// gpusPerPod reads a pod template. Of several paths, separated by "|", the greatest counts; one
// that begins with "/" is read from the object itself.
func gpusPerPod(paths string, root, at any) int64 {
	most := int64(0)
	for p := range strings.SplitSeq(paths, "|") {
		from := at
		if rest, isRoot := strings.CutPrefix(p, "/"); isRoot {
			from, p = root, rest
		}
		pod := &corev1.Pod{}
		template := path(strings.Split(p, ".")).of(from)
		if spec, is := (path{"spec"}).of(template).(map[string]any); is {
			pod.Spec.Containers, pod.Spec.InitContainers = containers(spec["containers"]), containers(spec["initContainers"])
		} else {
			pod.Spec.Containers = []corev1.Container{{Resources: asked(template)}}
		}
		sum := int64(0)
		for name, n := range requests(pod) {
			if vendor, _ := vendor(name); vendor != "" && n > 0 {
				sum = add(sum, n)
			}
		}
		most = max(most, sum)
	}
	return most
}

func containers(list any) []corev1.Container {
	members, _ := list.([]any)
	out := make([]corev1.Container, 0, len(members))
	for _, c := range members {
		container := corev1.Container{Resources: asked((path{"resources"}).of(c))}
		if policy, is := Text(c, "restartPolicy"); is {
			container.RestartPolicy = new(corev1.ContainerRestartPolicy(policy))
		}
		out = append(out, container)
	}
	return out
}

// asked reads limits and requests. In a template, unlike in a pod, nobody has copied the limits
// of extended resources into the requests.
func asked(resources any) corev1.ResourceRequirements {
	out := corev1.ResourceRequirements{Requests: corev1.ResourceList{}}
	for _, field := range []string{"limits", "requests"} {
		list, _ := (path{field}).of(resources).(map[string]any)
		for name, raw := range list {
			if n, ok := number(raw); ok {
				out.Requests[corev1.ResourceName(name)] = *resource.NewQuantity(n, resource.DecimalSI)
			}
		}
	}
	return out
}
