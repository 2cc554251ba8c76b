package webhook

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook/expression"
)

// GPUs are bounded by [MaxGPUs]. A whole device, a slice, a time-sliced share and a device of a
// claim count as one each: they are what a pod asks for.
const GPUs Measure = "GPUs"

// Amounts are what an object takes of each total.
type Amounts struct{ Replicas, GPUs, Nodes int64 }

// Of is the amount that a measure counts.
func (a Amounts) Of(m Measure) int64 {
	switch m {
	case Nodes:
		return a.Nodes
	case GPUs:
		return a.GPUs
	default:
		return a.Replicas
	}
}

// Most is the greater of both, each by itself.
func (a Amounts) Most(b Amounts) Amounts {
	return Amounts{max(a.Replicas, b.Replicas), max(a.GPUs, b.GPUs), max(a.Nodes, b.Nodes)}
}

// Least is the smaller of both, each by itself.
func (a Amounts) Least(b Amounts) Amounts {
	return Amounts{min(a.Replicas, b.Replicas), min(a.GPUs, b.GPUs), min(a.Nodes, b.Nodes)}
}

// Plus is the sum of both.
func (a Amounts) Plus(b Amounts) Amounts {
	return Amounts{quantity.Add(a.Replicas, b.Replicas), quantity.Add(a.GPUs, b.GPUs), quantity.Add(a.Nodes, b.Nodes)}
}

// At are the amounts of an object of which n were asked for, if it were to so many: each asks for
// the same.
func (a Amounts) At(n, to int64) Amounts {
	out := Amounts{Replicas: to}
	if n > 0 {
		product := quantity.Multiply(a.GPUs, to)
		out.GPUs = product/n + min(product%n, 1)
	}
	return out
}

// NodeClaims are what Karpenter asks for nodes by. They have no count; each is one node.
var NodeClaims = Kind{
	Group: "karpenter.sh", Version: "v1", Resource: "nodeclaims", Name: "NodeClaim", Cluster: true, Measure: Nodes,
	Instances: &expression.Selection{Requirements: "spec.requirements", Asks: true},
}

// ClaimsNode says whether a NodeClaim counts as a node: one that is being deleted, or that
// Karpenter is replacing, does not.
func ClaimsNode(claim any) bool {
	if (expression.Path{"metadata", "deletionTimestamp"}).Of(claim) != nil {
		return false
	}
	conditions, _ := expression.Path{"status", "conditions"}.Of(claim).([]any)
	for _, c := range conditions {
		kind, _ := expression.Text(c, "type")
		status, _ := expression.Text(c, "status")
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

// Ask is what an object asks for. What its pods claim by DRA stands elsewhere.
type Ask struct {
	// own is what the object says itself.
	own Amounts
	// counts are its pods, for each of its counts; nil where none of them claims anything.
	counts [][]batch
	// Template has the pod template; without a name the object has it.
	Template Reference
}

// Reference names an object of the same namespace.
type Reference struct{ Group, Kind, Name string }

// batch is a number of pods that are alike; each counts for the greatest of its templates.
type batch struct {
	pods      int64
	templates []PodAsk
}

// PodAsk is what a pod of a template asks for.
type PodAsk struct {
	gpus   int64
	claims []claimUse
}

// Ask is what an object of the kind takes of the totals of its Namespace. Of several counts,
// such as what is asked for now and what an autoscaler may ask for, the highest counts.
func (k Kind) Ask(object any) Ask {
	a := Ask{counts: make([][]batch, 0, len(k.Counts))}
	claims := false
	for _, c := range k.Counts {
		batches := c.batches(object)
		a.counts = append(a.counts, batches)
		a.own = a.own.Most(Amounts{Replicas: c.Of.Evaluate(object), GPUs: gpus(batches, nil)})
		claims = claims || len(claimsIn(batches)) > 0
	}
	if a.Template = k.template(object); !claims && a.Template.Name == "" {
		a.counts = nil
	}
	return a
}

// template is the object that has the pod template of an object, without a name where that has it itself.
func (k Kind) template(object any) Reference {
	if k.PodsOf == "" {
		return Reference{}
	}
	version, _ := expression.Text(object, k.PodsOf+".apiVersion")
	gv, _ := schema.ParseGroupVersion(version)
	kind, _ := expression.Text(object, k.PodsOf+".kind")
	name, _ := expression.Text(object, k.PodsOf+".name")
	return Reference{gv.Group, kind, name}
}

// Pod is what a pod asks for of an object with its template in spec.template.
func Pod(object any) PodAsk { return podAskOf(expression.Path{"spec", "template"}.Of(object)) }

// Of is what is asked for if each pod asks for that.
func (a Ask) Of(pod PodAsk) Ask {
	a.counts = slices.Clone(a.counts)
	for i, batches := range a.counts {
		a.counts[i] = slices.Clone(batches)
		for j := range batches {
			a.counts[i][j].templates = []PodAsk{pod}
		}
		a.own.GPUs = max(a.own.GPUs, gpus(a.counts[i], nil))
	}
	return a
}

// Claims are the claim sources that the pods name, none for most objects.
func (a Ask) Claims() []ClaimRef {
	var out []ClaimRef
	for _, batches := range a.counts {
		out = append(out, claimsIn(batches)...)
	}
	slices.SortFunc(out, compareRefs)
	return slices.Compact(out)
}

// With are the amounts, where the claim sources have these GPUs.
func (a Ask) With(claims Claims) Amounts {
	out := a.own
	for _, batches := range a.counts {
		out.GPUs = max(out.GPUs, gpus(batches, claims))
	}
	return out
}

func claimsIn(batches []batch) []ClaimRef {
	var out []ClaimRef
	for _, b := range batches {
		for _, template := range b.templates {
			for _, use := range template.claims {
				out = append(out, use.ClaimRef)
			}
		}
	}
	return out
}

// gpus are those of all pods. A claim that they share counts once.
func gpus(batches []batch, claims Claims) int64 {
	sum, shared := int64(0), map[ClaimRef]bool(nil)
	for _, b := range batches {
		most := int64(0)
		for _, template := range b.templates {
			each := template.gpus
			for _, use := range template.claims {
				if use.Source != FromClaim {
					each = quantity.Add(each, quantity.Multiply(use.times, claims.gpus(use.ClaimRef)))
					continue
				}
				if shared == nil {
					shared = map[ClaimRef]bool{}
				}
				shared[use.ClaimRef] = true
			}
			most = max(most, each)
		}
		sum = quantity.Add(sum, quantity.Multiply(b.pods, most))
	}
	for ref := range shared {
		sum = quantity.Add(sum, claims.gpus(ref))
	}
	return sum
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
	}
	if specs, is := strings.CutSuffix(k.Scaled, ".Worker.replicas"); is {
		return [][]string{{"template"}, {"/" + specs + ".Worker.template"}}
	}
	return nil
}

// twice is for Ray: as asked for, and as its autoscaler may ask for.
func twice(templates ...string) [][]string { return [][]string{templates, templates} }

// batches are the pods that the products of a count stand for.
func (c Count) batches(object any) []batch {
	var out []batch
	for _, p := range c.Of.Products(object) {
		paths := "/spec.template"
		if p.Term < len(c.Templates) {
			paths = c.Templates[p.Term]
		}
		if p.Value > 0 {
			out = append(out, batch{p.Value, podAsks(paths, object, p.At)})
		}
	}
	return out
}

// podAsks reads pod templates at several paths, separated by "|". One that begins with "/" is
// read from the object itself.
func podAsks(paths string, root, at any) []PodAsk {
	var out []PodAsk
	for p := range strings.SplitSeq(paths, "|") {
		from := at
		if rest, isRoot := strings.CutPrefix(p, "/"); isRoot {
			from, p = root, rest
		}
		out = append(out, podAskOf(expression.Path(strings.Split(p, ".")).Of(from)))
	}
	return out
}

func podAskOf(template any) PodAsk {
	pod := expression.Pod(template)
	reserved := requests(pod)
	out := PodAsk{claims: claimUses(&pod.Spec, reserved)}
	for _, set := range pluginGPUs(reserved) {
		out.gpus = quantity.Add(out.gpus, set.Count)
	}
	return out
}
