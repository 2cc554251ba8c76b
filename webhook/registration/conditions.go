package registration

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// The match conditions run in the API server, about ten microseconds each, and spare most
// calls. They are total: an error in one would skip the webhook, and with it the ceiling.
var (
	workloadConditions = []admissionregistrationv1.MatchCondition{
		// Absent replicas mean 1 for these kinds.
		{Name: "grows-or-annotated", Expression: created + ` || ` +
			replicas("object", "1") + ` > ` + replicas("oldObject", "1") + ` || ` + rewritten},
	}
	// kindConditions leave out writes of a status and of labels: the counts of these kinds stand
	// in spec and in annotations.
	kindConditions = []admissionregistrationv1.MatchCondition{
		{Name: "asks-otherwise", Expression: created + ` || ` +
			member("object", "spec") + ` != ` + member("oldObject", "spec") + ` || ` +
			member("object.metadata", "annotations") + ` != ` + member("oldObject.metadata", "annotations")},
	}
	// Absent replicas mean 0 in every Scale: that is how scaling to zero arrives.
	scaleConditions = []admissionregistrationv1.MatchCondition{
		{Name: "grows", Expression: replicas("object", "0") + ` > ` + replicas("oldObject", "0")},
	}
	// boundsConditions also let the webhook be asked about an HPA that nobody changes.
	boundsConditions = []admissionregistrationv1.MatchCondition{
		{Name: "asks-otherwise-or-touched", Expression: kindConditions[0].Expression +
			` || has(request.options) && has(request.options.fieldManager) && request.options.fieldManager == '` + TouchManager + `'`},
	}
	// machineConditions leave out what a MachineSet, a control plane or a MachinePool asks for,
	// which is held itself.
	machineConditions = []admissionregistrationv1.MatchCondition{
		{Name: "made-by-hand", Expression: `!(has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller))`},
	}
	annotationConditions = []admissionregistrationv1.MatchCondition{
		{Name: "annotated", Expression: rewritten},
	}
	podConditions = []admissionregistrationv1.MatchCondition{
		{Name: "not-a-mirror-pod", Expression: `!(has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations)`},
		{Name: "gpu-or-pool", Expression: `has(object.metadata.annotations) && object.metadata.annotations.exists(k, k in ['forewarm.dev/pool', 'forewarm.dev/gpu-vendor', 'forewarm.dev/gpu-count', 'forewarm.dev/gpu-shape'])` +
			` || ` + asksGPU("containers") + ` || ` + asksGPU("initContainers") +
			` || has(object.spec.resourceClaims) && object.spec.resourceClaims.size() > 0`},
	}
)

// totalConditions let everything but growth pass without us, also while no webhook answers, and what begins to
// say that another counts in its place. Of kinds whose growth no expression tells, what leaves spec as it is.
// Who writes what is controlled is asked only of growth. One expression, since the API server evaluates all.
func totalConditions(kinds []webhook.Kind) []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{{Name: "grows", Expression: `(` + countGrows(kinds) + `) && !` + byDeployment + ` && !` + rolled(kinds)}}
}

// toldConditions are those where nothing is refused, and so nothing need pass that is part of a rollout.
func toldConditions(kinds []webhook.Kind) []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{{Name: "grows", Expression: `(` + countGrows(kinds) + `) && !` + byDeployment}}
}

// rolloutConditions are those of what totalConditions leave out, but for ReplicaSets of Deployments.
func rolloutConditions(kinds []webhook.Kind) []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{{Name: "rollout-grows", Expression: rolled(kinds) + ` && (` + countGrows(kinds) + `)`}}
}

// rolled says whether a controller makes what its own object counts for: it may have taken the old pods away
// before. Those are left out that make again what somebody takes from them: a ScaledJob makes another Job for
// each that has lost its label, as would the pods of a group's leader that anybody may make. Of Deployments see
// byDeployment.
func rolled(kinds []webhook.Kind) string {
	var out []webhook.Kind
	for _, k := range kinds {
		if k.Groups = nil; k.Vouches && k.Counted() && k.Group != "keda.sh" && (k.Group != "apps" || k.Resource != "deployments") {
			out = append(out, k)
		}
	}
	return webhook.Believed(out)
}

// byDeployment says whether it is the Deployment controller that writes what a Deployment controls.
const byDeployment = `(request.userInfo.username in ['system:serviceaccount:kube-system:deployment-controller', 'system:kube-controller-manager']` +
	` && has(object.metadata) && has(object.metadata.ownerReferences)` +
	` && object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller && o.kind == 'Deployment' && o.apiVersion == 'apps/v1'))`

// countGrows says whether what counts for totals asks for more, or begins to say that another counts in its
// place. Of kinds whose growth no short expression tells, what changes what the count is read from.
func countGrows(kinds []webhook.Kind) string {
	short, referred, longer, job := map[string][]string{}, map[string]string{}, "", "false"
	for _, k := range kinds {
		switch count := text(k); {
		case !k.Counted():
		case isJob(k):
			job = of(k)
		case slices.Contains([]string{"", "apps", "argoproj.io", "apps.openshift.io"}, k.Group) && absent[count] != "":
			short[count] = append(short[count], resource(k))
			if k.PodsOf != "" {
				referred[count] += ` || ` + of(k) + ` && (false` + changes([]expression.Path{strings.Split(k.PodsOf, ".")}) + `)`
			}
		case len(elsewhere(k)) > 0:
			longer += ` : ` + of(k) + ` ? ` + specChanges + changes(elsewhere(k))
		}
	}
	var byReplicas []string
	for _, count := range slices.Sorted(maps.Keys(short)) {
		byReplicas = append(byReplicas, ` : `+resourceOf+` in ['`+strings.Join(short[count], `', '`)+`'] ? `+
			replicas("object", absent[count])+` > `+replicas("oldObject", absent[count])+` || `+devices("object")+` != `+devices("oldObject")+referred[count])
	}
	return created + ` || (` +
		`has(request.subResource) && request.subResource == 'scale' ? ` + scaleConditions[0].Expression +
		` : ` + adopted + ` ? true` + strings.Join(byReplicas, "") +
		` : ` + job + ` ? ` + jobGrows + ` || ` + devices("object") + ` != ` + devices("oldObject") + longer +
		` : ` + specChanges + `)`
}

// asksOtherwise is kindConditions, of kinds of which some read their counts from neither spec nor annotations.
func asksOtherwise(kinds []webhook.Kind) []admissionregistrationv1.MatchCondition {
	out := kindConditions[0]
	for _, k := range kinds {
		paths := slices.DeleteFunc(elsewhere(k), func(p expression.Path) bool { return len(p) > 1 && p[0] == "metadata" && p[1] == "annotations" })
		if len(paths) > 0 && !isWorkload(k) {
			out.Expression += ` || ` + of(k) + ` && (false` + changes(paths) + `)`
		}
	}
	return []admissionregistrationv1.MatchCondition{out}
}

// absent is what absent replicas mean, by the count of which they are all.
var absent = map[string]string{"spec.replicas=1": "1", "spec.replicas=0": "0"}

// text is the count of a kind that has one, with its pod template in spec.template.
func text(k webhook.Kind) string {
	if len(k.Counts) != 1 || len(k.Counts[0].Templates) > 0 {
		return ""
	}
	return k.Counts[0].Of.String()
}

// isJob is true for Jobs as the built-in table counts them.
func isJob(k webhook.Kind) bool {
	return k.Group == "batch" && k.Resource == "jobs" && text(k) == "min(spec.parallelism=1, spec.completions=2147483647) * not(spec.suspend)"
}

// isWorkload is true for those of the API server's own kinds whose replicas, 1 where there are none, are all
// that counts.
func isWorkload(k webhook.Kind) bool {
	return (k.Group == "apps" || k.Group == "") && text(k) == "spec.replicas=1"
}

const resourceOf = `(request.resource.resource + '.' + request.resource.group)`

func resource(k webhook.Kind) string { return k.Resource + "." + k.Group }

// of says whether a request is about a kind.
func of(k webhook.Kind) string { return resourceOf + ` == '` + resource(k) + `'` }

var specChanges = member("object", "spec") + ` != ` + member("oldObject", "spec")

// elsewhere is where the counts of a kind are read from outside spec.
func elsewhere(k webhook.Kind) []expression.Path {
	var out []expression.Path
	for _, c := range k.Counts {
		out = append(out, c.Of.Outside("spec")...)
	}
	return out
}

// changes says, with || before each, whether what stands at paths changes.
func changes(paths []expression.Path) string {
	var out []string
	for _, p := range paths {
		out = append(out, ` || `+p.CEL("object")+` != `+p.CEL("oldObject"))
	}
	return strings.Join(out, "")
}

// created says whether an object is new. The operation would say so too, but takes the API server
// longer to look up.
const created = `oldObject == null`

// writtenBy is a condition on who writes.
func writtenBy(users []string) admissionregistrationv1.MatchCondition {
	quoted := make([]string, len(users))
	for i, user := range users {
		quoted[i] = strconv.Quote(user)
	}
	return admissionregistrationv1.MatchCondition{Name: "autoscaler", Expression: `request.userInfo.username in [` + strings.Join(quoted, ", ") + `]`}
}

func replicas(object, absent string) string {
	return field(object, "replicas", absent)
}

// rewritten says whether one of our annotations is set, changed or removed; a missing one differs
// from an empty one. Most updates come to this, so the annotations are read once each: lists of one
// give them names. It does not go through the annotations that there are, which a tenant could make
// so many that the cost limit of conditions would end it, and with it the review.
var rewritten = `[` + annotations("object") + `].exists(now, [` + created + ` ? {} : ` + annotations("oldObject") + `].exists(was, ` +
	`['` + strings.Join(webhook.Written(), `', '`) + `'].exists(k, (k in now) != (k in was) || k in now && now[k] != was[k])))`

func annotations(object string) string {
	return object + `.metadata.?annotations.orValue({})`
}

// adopted says whether an object names a controller that it did not name before.
var adopted = controllers("object") + `.exists(c, !(c in ` + controllers("oldObject") + `))`

func controllers(object string) string {
	return `(has(` + object + `.metadata.ownerReferences) ? ` + object + `.metadata.ownerReferences.filter(o, has(o.controller) && o.controller).map(o, o.uid) : [])`
}

// jobGrows says whether a Job asks for more pods at once, or is resumed.
var jobGrows = field("object", "parallelism", "1") + ` > ` + field("oldObject", "parallelism", "1") +
	` || ` + field("object", "completions", "2147483647") + ` > ` + field("oldObject", "completions", "2147483647") +
	` || ` + field("oldObject", "suspend", "false") + ` && !` + field("object", "suspend", "false")

func field(object, name, absent string) string {
	return object + `.?spec.?` + name + `.orValue(` + absent + `)`
}

// devices are the limits of those containers of a pod template that ask for an extended
// resource, as a GPU is, and what its pods claim.
func devices(object string) string {
	template := object + `.spec.template`
	of := func(field, as string) string {
		return `(has(` + object + `.spec) && has(` + template + `) && has(` + template + `.spec) && has(` + template + `.spec.` + field + `)` +
			` ? ` + template + `.spec.` + field + as + ` : [])`
	}
	const limits = `.filter(c, has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(r, r.contains('/'))).map(c, c.resources.limits)`
	return `[` + of("containers", limits) + `, ` + of("initContainers", limits) + `, ` + of("resourceClaims", `.map(c, c)`) + `]`
}

// member is a list of one or none.
func member(object, name string) string {
	return `(has(` + object + `.` + name + `) ? [` + object + `.` + name + `] : [])`
}

// asksGPU looks at requests, into which the API server has copied the limits of extended
// resources by then.
func asksGPU(containers string) string {
	return `(has(object.spec.` + containers + `) && object.spec.` + containers + `.exists(c, has(c.resources) && has(c.resources.requests)` +
		` && c.resources.requests.exists(r, r.startsWith('nvidia.com/') || r.startsWith('amd.com/') || r.startsWith('gpu.intel.com/') || r.startsWith('deviceclass.resource.kubernetes.io/'))))`
}
