package v1alpha1_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// refused are objects that the API server must not take: a valid one of the kind with a merge patch
// applied, on creation or, where update is set, as a change of the valid one.
var refused = map[string]struct {
	kind, patch string
	update      bool
	want        string // part of the message, which names the field
}{
	"plan of no chunk":           {kind: "CapacityPlan", patch: `{"spec":{"chunks":[]}}`, want: "spec.chunks"},
	"plan of a chunk twice":      {kind: "CapacityPlan", patch: `{"spec":{"chunks":[{"name":"a","ungated":1,"more":1},{"name":"a","ungated":2,"more":1}]}}`, want: `spec.chunks[1]: Duplicate value: {"name":"a"}`},
	"plan approved by nobody":    {kind: "CapacityPlan", patch: `{"spec":{"approval":{"by":""}}}`, want: "spec.approval.by"},
	"approval by another":        {kind: "CapacityPlan", patch: `{"spec":{"approval":{"by":"other"}}}`, update: true, want: "spec.approval cannot be changed"},
	"approval withdrawn":         {kind: "CapacityPlan", patch: `{"spec":{"approval":null}}`, update: true, want: "spec.approval cannot be changed"},
	"plan rejected by nobody":    {kind: "CapacityPlan", patch: `{"spec":{"rejection":{"by":""}}}`, want: "spec.rejection.by"},
	"rejection by another":       {kind: "CapacityPlan", patch: `{"spec":{"rejection":{"by":"other"}}}`, update: true, want: "spec.rejection cannot be changed"},
	"rejection withdrawn":        {kind: "CapacityPlan", patch: `{"spec":{"rejection":null}}`, update: true, want: "spec.rejection cannot be changed"},
	"plan with another pool":     {kind: "CapacityPlan", patch: `{"spec":{"pool":"b"}}`, update: true, want: "a CapacityPlan cannot be changed"},
	"plan with other chunks":     {kind: "CapacityPlan", patch: `{"spec":{"chunks":[{"name":"1","ungated":2,"more":1}]}}`, update: true, want: "a CapacityPlan cannot be changed"},
	"plan with more nodes":       {kind: "CapacityPlan", patch: `{"spec":{"nodes":2}}`, update: true, want: "a CapacityPlan cannot be changed"},
	"plan with another cost":     {kind: "CapacityPlan", patch: `{"spec":{"costPerHour":"2"}}`, update: true, want: "a CapacityPlan cannot be changed"},
	"plan with another reason":   {kind: "CapacityPlan", patch: `{"spec":{"reason":"2"}}`, update: true, want: "a CapacityPlan cannot be changed"},
	"plan of another requester":  {kind: "CapacityPlan", patch: `{"spec":{"requester":"2"}}`, update: true, want: "a CapacityPlan cannot be changed"},
	"plan that holds for longer": {kind: "CapacityPlan", patch: `{"spec":{"expires":"2030-01-01T00:00:00Z"}}`, update: true, want: "a CapacityPlan cannot be changed"},

	"decision in an unknown mode":    {kind: "Decision", patch: `{"spec":{"mode":"Act"}}`, want: "spec.mode: Unsupported value"},
	"decision of a chunk twice":      {kind: "Decision", patch: `{"spec":{"chunks":[{"name":"a","demand":"1","level":"1","source":"1","policy":"1","wanted":1,"reason":"1"},{"name":"a","demand":"1","level":"1","source":"1","policy":"1","wanted":1,"reason":"1"}]}}`, want: "spec.chunks[1]: Duplicate value"},
	"decision with another outcome":  {kind: "Decision", patch: `{"spec":{"applied":false}}`, update: true, want: "spec.applied: Invalid value: false: what became of a Decision is told once"},
	"decision that failed otherwise": {kind: "Decision", patch: `{"spec":{"error":"another"}}`, update: true, want: `spec.error: Invalid value: "another": what became of a Decision is told once`},
	"decision without its reason":    {kind: "Decision", patch: `{"spec":{"reason":null}}`, update: true, want: "spec: Invalid value: a Decision cannot be changed"},
	"decision with another digest":   {kind: "Decision", patch: `{"spec":{"digest":"0"}}`, update: true, want: "a Decision cannot be changed"},

	"event of no pool":                   {kind: "DemandEvent", patch: `{"spec":{"pool":""}}`, want: "spec.pool"},
	"event at a time that is none":       {kind: "DemandEvent", patch: `{"spec":{"start":"noon"}}`, want: "spec.start"},
	"event of no time":                   {kind: "DemandEvent", patch: `{"spec":{"duration":"0s"}}`, want: "spec.duration must be more than 0s"},
	"event of more than a week":          {kind: "DemandEvent", patch: `{"spec":{"duration":"168h1s"}}`, want: "at most 168h"},
	"event of a duration that is none":   {kind: "DemandEvent", patch: `{"spec":{"duration":"1d"}}`, want: "spec.duration: Invalid"},
	"event of neither percent nor count": {kind: "DemandEvent", patch: `{"spec":{"demand":null}}`, want: "spec: write one of percent, demand and freeze"},
	"event of both":                      {kind: "DemandEvent", patch: `{"spec":{"percent":5}}`, want: "spec: write one of percent, demand and freeze"},
	"event of demand in a freeze":        {kind: "DemandEvent", patch: `{"spec":{"freeze":true}}`, want: "spec: write one of percent, demand and freeze"},
	"event of no freeze":                 {kind: "DemandEvent", patch: `{"spec":{"freeze":false,"demand":null}}`, want: "spec: write one of percent, demand and freeze"},
	"event of a count of what":           {kind: "DemandEvent", patch: `{"spec":{"chunk":null}}`, want: "name it in spec.chunk"},
	"event of no demand":                 {kind: "DemandEvent", patch: `{"spec":{"demand":0}}`, want: "spec.demand"},
	"event of too much demand":           {kind: "DemandEvent", patch: `{"spec":{"demand":100001}}`, want: "spec.demand"},
	"event of 0 percent":                 {kind: "DemandEvent", patch: `{"spec":{"percent":0,"demand":null}}`, want: "spec.percent"},
	"event of 10001 percent":             {kind: "DemandEvent", patch: `{"spec":{"percent":10001,"demand":null}}`, want: "spec.percent"},

	"model pinned to a version that it lacks": {kind: "ForecastModel", patch: `{"spec":{"version":2}}`, want: "spec.version must be the number of one of status.versions"},

	"chunk of nothing, in words":       {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":"0"},"waitCostPerHour":"1","idleCostPerHour":"1","max":1}]}}`, want: "every request of a chunk must be greater than zero"},
	"pool of 64":                       {kind: "WarmPool", patch: `{"metadata":{"name":"` + strings.Repeat("a", 64) + `"}}`, want: "metadata.name must be at most 63 characters"},
	"pool in an unknown mode":          {kind: "WarmPool", patch: `{"spec":{"mode":"Act"}}`, want: "spec.mode: Unsupported value"},
	"pool that lends always":           {kind: "WarmPool", patch: `{"spec":{"borrow":"Always"}}`, want: "spec.borrow: Unsupported value"},
	"future of 101 %":                  {kind: "WarmPool", patch: `{"spec":{"demand":{"future":{"namespaceSharePercent":101}}}}`, want: "spec.demand.future.namespaceSharePercent"},
	"future of less than nothing":      {kind: "WarmPool", patch: `{"spec":{"demand":{"future":{"namespaceSharePercent":-1}}}}`, want: "spec.demand.future.namespaceSharePercent"},
	"pool that drains at times":        {kind: "WarmPool", patch: `{"spec":{"interruption":{"drain":"Sometimes"}}}`, want: "spec.interruption.drain: Unsupported value"},
	"pool of every node":               {kind: "WarmPool", patch: `{"spec":{"nodes":{"selector":{"matchLabels":null,"matchExpressions":null}}}}`, want: "spec.nodes.selector must not be empty"},
	"pool whose nodes are zones":       {kind: "WarmPool", patch: `{"spec":{"nodes":{"zones":{"key":"kubernetes.io/hostname"}}}}`, want: "spec.nodes.zones.key: a node is no zone"},
	"zones by a label that is none":    {kind: "WarmPool", patch: `{"spec":{"nodes":{"zones":{"key":"a zone"}}}}`, want: "spec.nodes.zones.key"},
	"zones with less than nothing":     {kind: "WarmPool", patch: `{"spec":{"nodes":{"zones":{"key":"zone","minPerZone":-1}}}}`, want: "spec.nodes.zones.minPerZone"},
	"pool of one zone, spread":         {kind: "WarmPool", patch: `{"spec":{"nodes":{"selector":{"matchLabels":{"zone":"a"}},"zones":{"key":"zone"}}}}`, want: "names the one zone of the pool"},
	"pool for no resource":             {kind: "WarmPool", patch: `{"spec":{"demand":{"resource":""},"chunks":[{"name":"a","requests":{"":1},"waitCostPerHour":"1","idleCostPerHour":"1","max":1}]}}`, want: "spec.demand.resource must name a resource"},
	"chunk without the resource":       {kind: "WarmPool", patch: `{"spec":{"demand":{"resource":"nvidia.com/gpu"}}}`, want: "every chunk must request spec.demand.resource"},
	"chunk of nothing":                 {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":0},"waitCostPerHour":"1","idleCostPerHour":"1","max":1}]}}`, want: "spec.chunks[0].requests: Invalid value: every request of a chunk must be greater than zero"},
	"chunk of less than nothing":       {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":"-1"},"waitCostPerHour":"1","idleCostPerHour":"1","max":1}]}}`, want: "every request of a chunk must be greater than zero"},
	"chunk of nothing, signed":         {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":"+0"},"waitCostPerHour":"1","idleCostPerHour":"1","max":1}]}}`, want: "every request of a chunk must be greater than zero"},
	"chunk of nothing, with a point":   {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":".0"},"waitCostPerHour":"1","idleCostPerHour":"1","max":1}]}}`, want: "every request of a chunk must be greater than zero"},
	"chunk with min above max":         {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1","min":2,"max":1}]}}`, want: "spec.chunks[0]: Invalid value: min must not exceed max"},
	"chunk named in capitals":          {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"A","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1","min":0,"max":1}]}}`, want: "spec.chunks[0].name"},
	"wait cost that is no number":      {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":1},"waitCostPerHour":"-1","idleCostPerHour":"1","min":0,"max":1}]}}`, want: "spec.chunks[0].waitCostPerHour"},
	"idle cost that is no number":      {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1e3","min":0,"max":1}]}}`, want: "spec.chunks[0].idleCostPerHour"},
	"chunk with min below zero":        {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1","min":-1,"max":1}]}}`, want: "spec.chunks[0].min"},
	"chunk with max below zero":        {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1","min":-1,"max":-1}]}}`, want: "spec.chunks[0].max"},
	"chunk with max of 1001":           {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1","min":0,"max":1001}]}}`, want: "spec.chunks[0].max"},
	"pool of no chunk":                 {kind: "WarmPool", patch: `{"spec":{"chunks":[]}}`, want: "spec.chunks"},
	"pool of a model that is none":     {kind: "WarmPool", patch: `{"spec":{"forecast":{"model":"Best"}}}`, want: "spec.forecast.model: Unsupported value"},
	"pool of a chunk twice":            {kind: "WarmPool", patch: `{"spec":{"chunks":[{"name":"a","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1","max":1},{"name":"a","requests":{"1":1},"waitCostPerHour":"1","idleCostPerHour":"1","max":1}]}}`, want: `spec.chunks[1]: Duplicate value: {"name":"a"}`},
	"history of 1441h":                 {kind: "WarmPool", patch: `{"spec":{"forecast":{"history":"1441h"}}}`, want: "spec.forecast.history must be from 1m to 1440h"},
	"interval of 2h":                   {kind: "WarmPool", patch: `{"spec":{"forecast":{"interval":"2h"}}}`, want: "spec.forecast.interval must be from 1s to 1h"},
	"retrained each hour":              {kind: "WarmPool", patch: `{"spec":{"forecast":{"retrainEvery":"1h"}}}`, want: "spec.forecast.retrainEvery must be from 24h to 1440h"},
	"lead time of 3h":                  {kind: "WarmPool", patch: `{"spec":{"sizing":{"leadTime":"3h"}}}`, want: "spec.sizing.leadTime must be Auto, or from 1s to 2h"},
	"lead time that is none":           {kind: "WarmPool", patch: `{"spec":{"sizing":{"leadTime":"auto"}}}`, want: "spec.sizing.leadTime"},
	"held for 25h":                     {kind: "WarmPool", patch: `{"spec":{"sizing":{"hold":"25h"}}}`, want: "spec.sizing.hold must be from 1s to 24h"},
	"billed for 25h":                   {kind: "WarmPool", patch: `{"spec":{"sizing":{"minBilling":"25h"}}}`, want: "spec.sizing.minBilling must be from 0s to 24h"},
	"less than no nodes":               {kind: "WarmPool", patch: `{"spec":{"sizing":{"maxNodes":-1}}}`, want: "spec.sizing.maxNodes"},
	"budget per hour that is no count": {kind: "WarmPool", patch: `{"spec":{"sizing":{"idleBudgetPerHour":"-1"}}}`, want: "spec.sizing.idleBudgetPerHour"},
	"budget per day with a currency":   {kind: "WarmPool", patch: `{"spec":{"sizing":{"idleBudgetPerDay":"5 USD"}}}`, want: "spec.sizing.idleBudgetPerDay"},
	"approval above what":              {kind: "WarmPool", patch: `{"spec":{"approval":{"aboveCostPerHour":"much"}}}`, want: "spec.approval.aboveCostPerHour"},
	"approval above less than nothing": {kind: "WarmPool", patch: `{"spec":{"approval":{"aboveNodes":-1}}}`, want: "spec.approval.aboveNodes"},
	"approval for a second":            {kind: "WarmPool", patch: `{"spec":{"approval":{"validFor":"1s"}}}`, want: "spec.approval.validFor must be from 1m to 168h"},
	"approval for more than a week":    {kind: "WarmPool", patch: `{"spec":{"approval":{"validFor":"169h"}}}`, want: "spec.approval.validFor must be from 1m to 168h"},
}

func TestRulesRefuse(t *testing.T) {
	definitions, said := crds(t), map[string]bool{}
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			var old map[string]any
			if c.update {
				old = valid(t, c.kind)
			}
			got := definitions[c.kind].refusals(t, merged(t, valid(t, c.kind), c.patch), old)
			if !strings.Contains(got, c.want) {
				t.Errorf("refused with %q, want %q in it", got, c.want)
			}
			said[got] = true
		})
	}
	// Each rule of each kind has a case above that it refuses.
	for kind, c := range definitions {
		properties(c.structural, kind, func(path string, s *schema.Structural) {
			for _, rule := range s.XValidations {
				refuses := false
				for message := range said {
					refuses = refuses || strings.Contains(message, rule.Message)
				}
				if !refuses {
					t.Errorf("%s: no case for the rule %q", path, rule.Message)
				}
			}
		})
	}
}

// required are the fields of the kinds that processes and people write which must be there.
var required = map[string]string{
	"CapacityPlan": `spec spec.pool spec.chunks spec.chunks[0].name spec.chunks[0].ungated spec.chunks[0].more spec.nodes
		spec.costPerHour spec.reason spec.requester spec.expires spec.approval.by`,
	"Decision": `spec spec.pool spec.mode spec.at spec.create spec.ungate spec.delete spec.applied spec.chunks spec.digest
		spec.chunks[0].name spec.chunks[0].demand spec.chunks[0].level spec.chunks[0].source spec.chunks[0].policy
		spec.chunks[0].wanted spec.chunks[0].reason`,
	"DemandEvent": `spec spec.pool spec.start spec.duration`,
	"WarmPool": `spec spec.nodes spec.nodes.selector spec.demand spec.demand.resource spec.chunks spec.chunks[0].name
		spec.chunks[0].requests spec.chunks[0].waitCostPerHour spec.chunks[0].idleCostPerHour spec.chunks[0].max`,
}

func TestRequiredFields(t *testing.T) {
	definitions := crds(t)
	for kind, paths := range required {
		for path := range strings.FieldsSeq(paths) {
			object := valid(t, kind)
			change(object, path, func(parent map[string]any, name string) { delete(parent, name) })
			if got := definitions[kind].refusals(t, object, nil); !strings.Contains(got, path+": Required value") {
				t.Errorf("%s without %s is refused with %q", kind, path, got)
			}
		}
	}
}

// longest are how many characters, items or keys fields may have.
var longest = map[string]map[string]int{
	"CapacityPlan": {
		"spec.pool": 63, "spec.chunks": 8, "spec.chunks[0].name": 40, "spec.costPerHour": 32, "spec.reason": 512,
		"spec.requester": 256, "spec.approval.by": 256,
	},
	"Decision": {
		"spec.pool": 63, "spec.error": 1024, "spec.reason": 1024, "spec.chunks": 8, "spec.digest": 64,
		"spec.chunks[0].name": 40, "spec.chunks[0].limitedBy": 8,
	},
	"DemandEvent": {"spec.pool": 63, "spec.chunk": 40},
	"WarmPool": {
		"spec.nodes.tolerations": 32, "spec.nodes.zones.key": 316, "spec.chunks": 8, "spec.chunks[0].name": 40, "spec.chunks[0].requests": 16,
		"spec.chunks[0].waitCostPerHour": 20, "spec.chunks[0].idleCostPerHour": 20, "spec.forecast.seasons": 4,
		"spec.sizing.leadTime": 20, "spec.sizing.idleBudgetPerHour": 20, "spec.sizing.idleBudgetPerDay": 20,
		"spec.approval.aboveCostPerHour": 20,
	},
}

func TestLongestFields(t *testing.T) {
	definitions := crds(t)
	for kind, paths := range longest {
		for path, most := range paths {
			for length, allowed := range map[int]bool{most: true, most + 1: false} {
				object := valid(t, kind)
				change(object, path, func(parent map[string]any, name string) { parent[name] = stretched(parent[name], length) })
				got := definitions[kind].refusals(t, object, nil)
				if allowed != (got == "") || !allowed && !strings.Contains(got, path) {
					t.Errorf("%s with %s of %d is refused with %q, want one: %v", kind, path, length, got, !allowed)
				}
			}
		}
	}
}

// stretched is a value of a length: with zeros before it, or with copies of the first item that differ
// by name.
func stretched(value any, length int) any {
	switch v := value.(type) {
	case []any:
		var items []any
		for i := range length {
			item, isObject := v[0].(map[string]any)
			if !isObject {
				items = append(items, v[0])
				continue
			}
			item = maps.Clone(item)
			if _, named := item["name"]; named {
				item["name"] = strconv.Itoa(i)
			}
			items = append(items, item)
		}
		return items
	case map[string]any:
		keys := maps.Clone(v)
		for i := len(keys); i < length; i++ {
			keys["key"+strconv.Itoa(i)] = int64(1)
		}
		return keys
	}
	text := value.(string)
	return strings.Repeat("0", length-len(text)) + text
}

// change calls with the object that holds the last field of a path, such as spec.chunks[0].name.
func change(object map[string]any, path string, with func(parent map[string]any, name string)) {
	for {
		first, rest, more := strings.Cut(path, ".")
		if !more {
			with(object, path)
			return
		}
		if list, isItem := strings.CutSuffix(first, "[0]"); isItem {
			object = object[list].([]any)[0].(map[string]any)
		} else {
			object = object[first].(map[string]any)
		}
		path = rest
	}
}

// What a rule must not stand in the way of.
func TestRulesAllow(t *testing.T) {
	definitions := crds(t)
	for name, c := range map[string]struct{ kind, before, patch string }{
		"a plan is approved":           {"CapacityPlan", `{"spec":{"approval":null}}`, `{"spec":{"approval":{"by":"alice"}}}`},
		"an approved plan is labelled": {"CapacityPlan", `{}`, `{"metadata":{"labels":{"a":"b"}}}`},
		"a decision is labelled":       {"Decision", `{}`, `{"metadata":{"labels":{"a":"b"}}}`},
		"a decision was applied":       {"Decision", `{"spec":{"applied":false,"error":null}}`, `{"spec":{"applied":true}}`},
		"a decision failed":            {"Decision", `{"spec":{"applied":false,"error":null}}`, `{"spec":{"error":"no quota"}}`},
		// As long as a real one: API servers fail on rules that read bytes.
		"a decision of a long input was applied": {"Decision", `{"spec":{"applied":false,"error":null,"input":"AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK+2vcTL0tng5+71/AMKERgfJi00O0JJUFdeZWxzeoGIj5adpKuyucDHztXc4+rx+P8GDRQbIikwNz5FTFNaYWhvdn2Ei5KZoKeutbzDytHY3+bt9PsCCRAXHiUsMzpBSE9WXWRrcnmAh46VnKOqsbi/xs3U2+Lp8Pf+BQwTGiEoLzY9REtSWWBnbnV8g4qRmJ+mrbS7wsnQ197l7PP6AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3vsXM09rh6O/2/QQLEhkgJy41PENKUVhfZm10e4KJkJeepayzusHIz9bd5Ovy+QAHDhUcIyoxOD9GTVRbYmlwd36FjJOaoaivtr3Ey9LZ4Ofu9fwDChEYHyYt"}}`, `{"spec":{"applied":true}}`},
		"an event is moved":                      {"DemandEvent", `{}`, `{"spec":{"start":"2027-03-01T14:30:00Z"}}`},
		"an event of all chunks by percent":      {"DemandEvent", `{}`, `{"spec":{"demand":null,"chunk":null,"percent":10000,"duration":"168h"}}`},
		"a model goes back to the champion":      {"ForecastModel", `{}`, `{"spec":{"version":null}}`},
		"a lead time is learned":                 {"WarmPool", `{}`, `{"spec":{"sizing":{"leadTime":"Auto","minBilling":"0s"},"approval":null}}`},
		"a pool by expressions alone":            {"WarmPool", `{}`, `{"spec":{"nodes":{"selector":{"matchLabels":null}}}}`},
		"a chunk of a tenth":                     {"WarmPool", `{}`, `{"spec":{"chunks":[{"name":"a","requests":{"1":"0.1"},"waitCostPerHour":"0.5","idleCostPerHour":"0","max":0}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			old := merged(t, valid(t, c.kind), c.before)
			if refusals := definitions[c.kind].refusals(t, merged(t, old, c.patch), old); refusals != "" {
				t.Errorf("refused: %s", refusals)
			}
		})
	}
}
