package extender

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/internal/quantity"
)

const gpu = "nvidia.com/gpu"

var held = []Held{{Pool: "a100", Resource: gpu}}

func asks(n int64, classes ...string) Pod {
	return Pod{Requests: quantity.Vector{gpu: n}, Classes: classes}
}

func TestFilterGuardsWhatIsKeptWarmForOthers(t *testing.T) {
	node := Node{Name: "n", Pool: "a100"}
	tests := map[string]struct {
		pod  Pod
		node Node
		held []Held
		want Reason
	}{
		"of the class":             {asks(1, "a100"), node, held, ""},
		"of another class":         {asks(1, "other"), node, held, ReasonHeldForOthers},
		"asks for no GPU":          {asks(0), node, held, ""},
		"owners are not expected":  {asks(1), node, nil, ""},
		"node of no pool":          {asks(1), Node{Name: "n"}, held, ""},
		"DaemonSet or system pod":  {Pod{Requests: quantity.Vector{gpu: 1}, Exempt: true}, node, held, ""},
		"another pool's resources": {asks(1), node, []Held{{Pool: "a100", Resource: "amd.com/gpu"}}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Filter(test.pod, []Node{test.node}, test.held)
			if len(got) != 1 || got[0].Node != "n" || got[0].Reason != test.want {
				t.Errorf("Filter = %+v, want reason %q", got, test.want)
			}
			if (got[0].Message == "") != (test.want == "") {
				t.Errorf("message %q", got[0].Message)
			}
		})
	}
}

func TestScorePacks(t *testing.T) {
	node := func(name string, real int64) Node {
		return Node{Name: name, Allocatable: quantity.Vector{gpu: 8}, Real: quantity.Vector{gpu: real}}
	}
	leaving := node("leaving", 7)
	leaving.Leaving = true
	nodes := []Node{node("empty", 0), node("half", 4), node("nearly full", 7), leaving, {Name: "no GPU"}}
	if diff := cmp.Diff([]int64{2, 7, 10, 0, 0}, Score(asks(1), nodes, nil)); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
	warm, big := node("placeholders only", 0), node("one GPU of very many", 1)
	warm.Placeholders = quantity.Vector{gpu: 6}
	big.Allocatable = quantity.Vector{gpu: math.MaxInt64}
	if diff := cmp.Diff([]int64{2, 6, 7, 1}, Score(asks(1), []Node{node("empty", 0), warm, node("half", 4), big}, nil)); diff != "" {
		t.Errorf("scores with placeholders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{0, 0, 0, 0, 0}, Score(asks(0), nodes, nil)); diff != "" {
		t.Errorf("scores of a pod without GPUs (-want +got):\n%s", diff)
	}
}

func TestScoreGoesByWhatTheDemandClassAsksFor(t *testing.T) {
	pod := asks(1, "a100")
	pod.Requests["amd.com/fabric"] = 1
	full := Node{Allocatable: quantity.Vector{gpu: 8, "amd.com/fabric": 100}, Real: quantity.Vector{gpu: 7}}
	if got := Score(pod, []Node{full}, held); got[0] != MaxScore {
		t.Errorf("score %v of a node whose GPUs are all taken, want %d", got, MaxScore)
	}
	if got := Score(pod, []Node{full}, nil); got[0] != 1 {
		t.Errorf("score %v by the first extended resource, want 1", got)
	}
}

func placeholders(pool string, sizes ...int64) Victims {
	var v Victims
	for i, size := range sizes {
		v.Pods = append(v.Pods, Victim{UID: types.UID(fmt.Sprint(pool, i)), Pool: pool, Requests: quantity.Vector{gpu: size}})
	}
	return v
}

func with(v Victims, victims ...Victim) Victims {
	v.Pods = append(v.Pods, victims...)
	return v
}

func TestSelectVictims(t *testing.T) {
	real := Victim{UID: "real", Requests: quantity.Vector{gpu: 1}}
	tests := map[string]struct {
		pod        Pod
		candidates map[string]Victims
		want       []string
	}{
		"placeholders before real work": {asks(1, "a100"), map[string]Victims{"work": {Pods: []Victim{real}}, "warm": placeholders("a100", 1)}, []string{"warm"}},
		"not even beside a placeholder": {asks(2, "a100"), map[string]Victims{"mixed": with(placeholders("a100", 1), real), "warm": placeholders("a100", 1, 1)}, []string{"warm"}},
		"fewest chunks":                 {asks(8, "a100"), map[string]Victims{"eight": placeholders("a100", 1, 1, 1, 1, 1, 1, 1, 1), "one": placeholders("a100", 8)}, []string{"one"}},
		"then the smallest":             {asks(1, "a100"), map[string]Victims{"big": placeholders("a100", 8), "small": placeholders("a100", 1)}, []string{"small"}},
		"ties stay":                     {asks(1, "a100"), map[string]Victims{"x": placeholders("a100", 1), "y": placeholders("a100", 1)}, []string{"x", "y"}},
		"guarded against the class":     {asks(1), map[string]Victims{"warm": placeholders("a100", 1)}, nil},
		"ordinary preemption goes on":   {asks(1), map[string]Victims{"warm": placeholders("a100", 1), "work": {Pods: []Victim{real}, PDBViolations: 2}}, []string{"work"}},
		"an empty list is kept":         {asks(1, "a100"), map[string]Victims{"nobody": {}}, []string{"nobody"}},
		"also beside a takeover":        {asks(1, "a100"), map[string]Victims{"nobody": {}, "warm": placeholders("a100", 1), "work": {Pods: []Victim{real}}}, []string{"nobody", "warm"}},
		"nothing to choose from":        {asks(1), nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := SelectVictims(test.pod, test.candidates, held)
			want := map[string]Victims{}
			for _, node := range test.want {
				want[node] = test.candidates[node]
			}
			if len(got) != len(want) {
				t.Errorf("nodes %v, want %v", got, test.want)
			}
			for node := range want {
				if diff := cmp.Diff(want[node], got[node]); diff != "" {
					t.Errorf("victims on %s (-want +got):\n%s", node, diff)
				}
			}
		})
	}
}

// TestFilterAndScoreProperties holds that each node is answered once, in order, within the
// range of scores, and that the arguments stay as they are.
func TestFilterAndScoreProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		pod := asks(random.Int64N(9), []string{"a100", "h100"}[random.IntN(2)])
		pod.Exempt = random.IntN(4) == 0
		nodes := make([]Node, random.IntN(20))
		for i := range nodes {
			nodes[i] = Node{
				Name: fmt.Sprint("n", i), Pool: []string{"", "a100", "h100"}[random.IntN(3)], Leaving: random.IntN(5) == 0,
				Allocatable: quantity.Vector{gpu: random.Int64N(9)}, Real: quantity.Vector{gpu: random.Int64()}, Placeholders: quantity.Vector{gpu: random.Int64N(9)},
			}
		}
		before := fmt.Sprint(pod, nodes)
		verdicts, scores := Filter(pod, nodes, held), Score(pod, nodes, held)
		if len(verdicts) != len(nodes) || len(scores) != len(nodes) {
			t.Fatalf("%d nodes, %d verdicts, %d scores", len(nodes), len(verdicts), len(scores))
		}
		for i, node := range nodes {
			if verdicts[i].Node != node.Name {
				t.Fatalf("verdict %d is about %s, want %s", i, verdicts[i].Node, node.Name)
			}
			if mine := slices.Contains(pod.Classes, node.Pool); verdicts[i].Reason != "" && (mine || pod.Exempt || pod.Requests[gpu] == 0 || node.Pool != "a100") {
				t.Fatalf("%+v refused on %+v", pod, node)
			}
			if scores[i] < 0 || scores[i] > MaxScore || node.Leaving && scores[i] != 0 {
				t.Fatalf("score %d of %+v", scores[i], node)
			}
		}
		if after := fmt.Sprint(pod, nodes); after != before {
			t.Fatalf("arguments changed from %s to %s", before, after)
		}
	}
}

// TestSelectVictimsProperties holds that nothing is added, nothing is changed, and real
// work never dies where placeholders alone would do.
func TestSelectVictimsProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		candidates := map[string]Victims{}
		takeoverPossible := false
		for n := range random.IntN(8) {
			var v Victims
			onlyPlaceholders := true
			for range random.IntN(5) {
				victim := Victim{UID: types.UID(fmt.Sprint(random.Int())), Requests: quantity.Vector{gpu: 1}}
				if random.IntN(3) > 0 {
					victim.Pool = "a100"
				} else {
					onlyPlaceholders = false
				}
				v.Pods = append(v.Pods, victim)
			}
			takeoverPossible = takeoverPossible || onlyPlaceholders && len(v.Pods) > 0
			candidates[fmt.Sprint("n", n)] = v
		}
		for node, v := range SelectVictims(asks(1, "a100"), candidates, held) {
			if diff := cmp.Diff(candidates[node], v); diff != "" {
				t.Fatalf("victims changed:\n%s", diff)
			}
			for _, victim := range v.Pods {
				if takeoverPossible && victim.Pool == "" {
					t.Fatal("real work dies although placeholders alone would do")
				}
			}
		}
	}
}
