package registration

import (
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"forewarm.dev/webhook"
)

// The match conditions run in the API server, about ten microseconds each, and spare most
// calls. They are total: an error in one would skip the webhook, and with it the ceiling.
var (
	workloadConditions = []admissionregistrationv1.MatchCondition{
		// Absent replicas mean 1 for these kinds.
		{Name: "grows-or-annotated", Expression: `request.operation == 'CREATE' || ` +
			replicas("object", "1") + ` > ` + replicas("oldObject", "1") + ` || ` + annotated("object") + ` != ` + annotated("oldObject")},
	}
	// kindConditions leave out writes of a status and of labels: the counts of these kinds stand
	// in spec and in annotations.
	kindConditions = []admissionregistrationv1.MatchCondition{
		{Name: "asks-otherwise", Expression: `request.operation == 'CREATE' || ` +
			member("object", "spec") + ` != ` + member("oldObject", "spec") + ` || ` +
			member("object.metadata", "annotations") + ` != ` + member("oldObject.metadata", "annotations")},
	}
	// Absent replicas mean 0 in every Scale: that is how scaling to zero arrives.
	scaleConditions = []admissionregistrationv1.MatchCondition{
		{Name: "grows", Expression: replicas("object", "0") + ` > ` + replicas("oldObject", "0")},
	}
	annotationConditions = []admissionregistrationv1.MatchCondition{
		{Name: "annotated", Expression: annotated("object") + ` != (request.operation == 'CREATE' ? ` + none() + ` : ` + annotated("oldObject") + `)`},
	}
	podConditions = []admissionregistrationv1.MatchCondition{
		{Name: "not-a-mirror-pod", Expression: `!(has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations)`},
		{Name: "gpu-or-pool", Expression: `has(object.metadata.annotations) && object.metadata.annotations.exists(k, k in ['forewarm.dev/pool', 'forewarm.dev/gpu-vendor', 'forewarm.dev/gpu-count'])` +
			` || ` + asksGPU("containers") + ` || ` + asksGPU("initContainers")},
	}
)

func replicas(object, absent string) string {
	return `(has(` + object + `.spec) && has(` + object + `.spec.replicas) ? ` + object + `.spec.replicas : ` + absent + `)`
}

// annotated lists the values of our annotations, each as a list, so that a missing one
// differs from an empty one.
func annotated(object string) string {
	var values []string
	for _, annotation := range webhook.Written() {
		values = append(values, `(has(`+object+`.metadata.annotations) && '`+annotation+`' in `+object+`.metadata.annotations`+
			` ? [`+object+`.metadata.annotations['`+annotation+`']] : [])`)
	}
	return `[` + strings.Join(values, ", ") + `]`
}

// none is what annotated says of an object without annotations.
func none() string {
	return `[` + strings.TrimSuffix(strings.Repeat("[], ", len(webhook.Written())), ", ") + `]`
}

// member is a list of one or none.
func member(object, name string) string {
	return `(has(` + object + `.` + name + `) ? [` + object + `.` + name + `] : [])`
}

// asksGPU looks at requests, into which the API server has copied the limits of extended
// resources by then.
func asksGPU(containers string) string {
	return `(has(object.spec.` + containers + `) && object.spec.` + containers + `.exists(c, has(c.resources) && has(c.resources.requests)` +
		` && c.resources.requests.exists(r, r.startsWith('nvidia.com/') || r == 'amd.com/gpu' || r.startsWith('gpu.intel.com/'))))`
}
