package bypass

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// subject is a kind, and how to ask its objects for a number.
type subject struct {
	group, resource string
	// others are further API versions under which the kind is served.
	others []string
	// object is the least that the API takes beside what a row sets.
	object string
	// status is one that the API takes.
	status string
	// target is the group and resource of the workload that the object points to.
	target string
	// native kinds are built into Kubernetes: no schema of ours.
	native bool
	// onlyScale kinds are in no table.
	onlyScale bool
	rows      []row
}

// row is one way in which an object asks for a number.
type row struct {
	// count is the field as the table of kinds names it.
	count string
	// by is what is written instead, where a count grows by more than one field.
	by string
	// with is merged into the object.
	with func(n int64) string
	// asks is what the object then asks for; nil means n.
	asks func(n int64) int64
	// least is the smallest n that the API takes.
	least int64
	// scaled is true where the number of /scale is n.
	scaled bool
	// above is what becomes of a write above the ceiling; empty means refused.
	above outcome
}

// outcome is what becomes of a write.
type outcome string

const (
	allowed outcome = "allowed"
	refused outcome = "refused"
	// warned writes pass, and their writer is told.
	warned outcome = "warned"
	// lowered writes pass with the ceiling in place of what was asked for.
	lowered outcome = "lowered"
)

// hpaReplicasAbove is what becomes of an HPA whose bounds are above its target's ceiling; also of
// one that was there before.
const hpaReplicasAbove = lowered

func (r row) label() string {
	if r.by != "" {
		return r.by
	}
	return r.count
}

func (r row) asked(n int64) int64 {
	if r.asks == nil {
		return n
	}
	return r.asks(n)
}

// text puts n where the text says N.
func text(template string) func(int64) string {
	return func(n int64) string { return strings.ReplaceAll(template, "$N", strconv.FormatInt(n, 10)) }
}

// switched is one text for zero, such as a suspended object, and another for all else.
func switched(zero, template string) func(int64) string {
	return func(n int64) string {
		if n == 0 {
			return zero
		}
		return text(template)(n)
	}
}

// repeated fills n elements, numbered from 0, into a list.
func repeated(template, element string) func(int64) string {
	return func(n int64) string {
		elements := make([]string, n)
		for i := range elements {
			elements[i] = text(element)(int64(i))
		}
		return strings.ReplaceAll(template, "$LIST", "["+strings.Join(elements, ", ")+"]")
	}
}

// times is each*n + more.
func times(each, more int64) func(int64) int64 {
	return func(n int64) int64 { return each*n + more }
}

// unset is what a row asks for that leaves a field out above the ceiling.
func unset(absent int64) func(int64) int64 {
	return func(n int64) int64 {
		if n > atN {
			return absent
		}
		return n
	}
}

// subjects are all kinds, by group and resource.
func subjects() map[string]subject {
	out := map[string]subject{}
	for _, list := range [][]subject{nativeSubjects(), workloadSubjects(), nodeSubjects(), otherSubjects()} {
		for _, s := range list {
			out[key(s.group, s.resource)] = s
		}
	}
	return out
}

func key(group, resource string) string { return group + "/" + resource }

// farmCount is a count of a kind that only the webhook's configuration file knows.
const farmCount = "1 + spec.groups[]: replicas=1 * size=1"

// otherKinds are kinds that are not built in: nobody knows Widgets, and the configuration
// file tells of Farms.
func otherKinds() ([]webhook.Kind, error) {
	size, err := expression.Parse("spec.size=0")
	if err != nil {
		return nil, err
	}
	farm, err := expression.Parse(farmCount)
	return []webhook.Kind{
		{Group: "example.com", Version: "v1", Resource: "farms", Name: "Farm", Measure: webhook.Replicas, Counts: []webhook.Count{{Field: farmCount, Of: farm}}},
		{Group: "example.com", Version: "v1", Resource: "widgets", Name: "widgets.example.com", Measure: webhook.Replicas, Counts: []webhook.Count{{Field: "spec.size", Of: size}}},
	}, err
}

func otherSubjects() []subject {
	return []subject{
		{group: "example.com", resource: "farms", rows: []row{
			{count: farmCount, by: "spec.groups[].replicas", with: text(`spec: {groups: [{replicas: $N, size: 2}]}`), asks: times(2, 1)},
			{count: farmCount, by: "spec.groups[].size", with: text(`spec: {groups: [{replicas: 2, size: $N}]}`), asks: times(2, 1)},
			{count: farmCount, by: "spec.groups", with: repeated(`spec: {groups: $LIST}`, `{replicas: 1}`), asks: times(1, 1)},
		}},
		{group: "example.com", resource: "widgets", onlyScale: true, rows: []row{{count: "spec.size", with: text(`spec: {size: $N}`), scaled: true}}},
	}
}

// make builds the object of a row that asks for n; it has no ceiling.
func (s subject) make(kind webhook.Kind, version string, r row, n int64) (*unstructured.Unstructured, error) {
	object, err := parse(s.object)
	if err != nil {
		return nil, fmt.Errorf("object of %s: %w", s.resource, err)
	}
	with, err := parse(r.with(n))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", r.label(), s.resource, err)
	}
	merge(object, with)
	o := &unstructured.Unstructured{Object: object}
	o.SetAPIVersion(strings.TrimPrefix(kind.Group+"/"+version, "/"))
	o.SetKind(kindName(kind))
	return o, nil
}

// kindName is a name that the API server knows; messages name a kind in no table otherwise.
func kindName(kind webhook.Kind) string {
	if kind.Resource == "widgets" {
		return "Widget"
	}
	return kind.Name
}

// parse goes through Unstructured, which reads whole numbers as int64.
func parse(text string) (map[string]any, error) {
	data, err := yaml.YAMLToJSON([]byte("apiVersion: v1\nkind: Any\n" + text))
	if err != nil {
		return nil, err
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return o.Object, nil
}

// merge copies from into into, member by member.
func merge(into, from map[string]any) {
	for name, value := range from {
		inner, ok := value.(map[string]any)
		present, both := into[name].(map[string]any)
		if ok && both {
			merge(present, inner)
			continue
		}
		into[name] = value
	}
}
