package extender

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/internal/quantity"
)

const gpu = "nvidia.com/gpu"

var held = []Held{{Pool: "a100", Resource: gpu}}

func asks(n int64, classes ...string) *Pod {
	return &Pod{UID: "asker", Requests: quantity.Vector{gpu: n}, Classes: classes, Plain: true}
}

func TestFilterGuardsWhatIsKeptWarmForOthers(t *testing.T) {
	node := &Node{Name: "n", Pool: "a100"}
	nominated := asks(1)
	nominated.Nominated = "n"
	elsewhere := asks(1)
	elsewhere.Nominated = "m"
	tests := map[string]struct {
		pod  *Pod
		node *Node
		held []Held
		want Reason
	}{
		"of the class":               {asks(1, "a100"), node, held, ""},
		"of another class":           {asks(1, "other"), node, held, ReasonHeldForOthers},
		"asks for no GPU":            {asks(0), node, held, ""},
		"owners are not expected":    {asks(1), node, nil, ""},
		"node of no pool":            {asks(1), &Node{Name: "n"}, held, ""},
		"DaemonSet or system pod":    {&Pod{Requests: quantity.Vector{gpu: 1}, Exempt: true}, node, held, ""},
		"another pool's resources":   {asks(1), node, []Held{{Pool: "a100", Resource: "amd.com/gpu"}}, ""},
		"room was made for it there": {nominated, node, held, ""},
		"room was made elsewhere":    {elsewhere, node, held, ReasonHeldForOthers},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Filter(test.pod, []*Node{test.node}, test.held)
			if len(got) != 1 || got[0].Reason != test.want {
				t.Errorf("Filter = %+v, want reason %q", got, test.want)
			}
			if (got[0].Message == "") != (test.want == "") {
				t.Errorf("message %q", got[0].Message)
			}
		})
	}
}

// used is a node of 8 GPUs on which real work holds some.
func used(name string, real int64, edit ...func(*Node)) *Node {
	n := &Node{Name: name, Allocatable: quantity.Vector{gpu: 8}, Real: quantity.Vector{gpu: real}}
	for _, e := range edit {
		e(n)
	}
	return n
}

func TestScorePacks(t *testing.T) {
	leaving := func(n *Node) { n.Leaving = true }
	warm := func(n *Node) { n.Placeholders = quantity.Vector{gpu: 7} }
	expected := func(n *Node) { n.Tentative = quantity.Vector{gpu: 6} }
	taken := func(n *Node) {
		n.Placeholders = quantity.Vector{gpu: 6}
		n.Stand = []Victim{{Requests: quantity.Vector{gpu: 6}, Taken: true}}
	}
	rack := func(name string) func(*Node) { return func(n *Node) { n.Domain = name } }
	sliced := func(n *Node) { n.Shares = 4 }
	tests := map[string]struct {
		asks  int64
		nodes []*Node
		want  []int64
	}{
		"the fullest that fits":            {1, []*Node{used("empty", 0), used("half", 4), used("nearly full", 7)}, []int64{1, 5, 10}},
		"a leaving node never":             {1, []*Node{used("leaving", 7, leaving), used("empty", 0)}, []int64{0, 10}},
		"what has no GPU never":            {1, []*Node{{Name: "none"}, used("empty", 0)}, []int64{0, 10}},
		"a whole node stays whole":         {2, []*Node{used("empty", 0), used("busy", 1)}, []int64{1, 10}},
		"also one of placeholders":         {1, []*Node{used("warm", 0, warm), used("busy", 1)}, []int64{1, 10}},
		"but is taken whole":               {8, []*Node{used("empty", 0), used("other", 0)}, []int64{10, 8}},
		"who is expected counts":           {2, []*Node{used("busy", 1), used("expected", 0, expected)}, []int64{3, 10}},
		"and keeps the room":               {1, []*Node{used("expected", 2, expected), used("empty", 0)}, []int64{1, 10}},
		"also what placeholders give up":   {1, []*Node{used("given", 1, expected, taken), used("empty", 0)}, []int64{10, 1}},
		"ties go by name":                  {1, []*Node{used("b", 3), used("a", 3)}, []int64{4, 10}},
		"whole racks stay whole":           {8, []*Node{used("a", 0, rack("r1")), used("b", 0, rack("r1")), used("c", 0, rack("r2"))}, []int64{8, 8, 10}},
		"a rack before none":               {8, []*Node{used("a", 0), used("c", 0, rack("r2"))}, []int64{8, 10}},
		"shares of a GPU fill it first":    {1, []*Node{used("a", 2, sliced), used("b", 3, sliced)}, []int64{6, 10}},
		"no opinion without GPUs":          {0, []*Node{used("a", 2), used("b", 3)}, []int64{0, 0}},
		"nothing to choose from":           {1, []*Node{}, []int64{}},
		"amounts beyond a node do no harm": {1, []*Node{used("big", math.MaxInt64), used("a", 0)}, []int64{10, 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Score(asks(test.asks), test.nodes, nil)); diff != "" {
				t.Errorf("scores (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScoreGoesByWhatTheDemandClassAsksFor(t *testing.T) {
	pod := asks(1, "a100")
	pod.Requests["amd.com/fabric"] = 1
	offers := quantity.Vector{gpu: 8, "amd.com/fabric": 8}
	a := &Node{Name: "a", Allocatable: offers, Real: quantity.Vector{gpu: 7}}
	b := &Node{Name: "b", Allocatable: offers, Real: quantity.Vector{"amd.com/fabric": 7}}
	if got := Score(pod, []*Node{a, b}, held); got[0] != MaxScore {
		t.Errorf("by the class: %v, want the first", got)
	}
	if got := Score(pod, []*Node{a, b}, nil); got[1] != MaxScore {
		t.Errorf("by the first extended resource: %v, want the second", got)
	}
}

func placeholders(pool string, sizes ...int64) Victims {
	var v Victims
	for i, size := range sizes {
		v.Pods = append(v.Pods, Victim{UID: types.UID(fmt.Sprint(pool, i)), Pool: pool, Requests: quantity.Vector{gpu: size}, Priority: -10})
	}
	return v
}

// inTier is the same of a later tier.
func inTier(tier int32, v Victims) Victims {
	for i := range v.Pods {
		v.Pods[i].Priority += tier
	}
	return v
}

func with(v Victims, victims ...Victim) Victims {
	v.Pods = append(v.Pods, victims...)
	return v
}

// asCandidates are victims on nodes of which nothing else is known.
func asCandidates(victims map[string]Victims) map[string]Candidate {
	candidates := map[string]Candidate{}
	for node, v := range victims {
		candidates[node] = Candidate{Victims: v}
	}
	return candidates
}

func TestSelectVictims(t *testing.T) {
	real := Victim{UID: "real", Requests: quantity.Vector{gpu: 1}}
	tests := map[string]struct {
		pod        *Pod
		candidates map[string]Victims
		want       []string
	}{
		"placeholders before real work": {asks(1, "a100"), map[string]Victims{"work": {Pods: []Victim{real}}, "warm": placeholders("a100", 1)}, []string{"warm"}},
		"not even beside a placeholder": {asks(2, "a100"), map[string]Victims{"mixed": with(placeholders("a100", 1), real), "warm": placeholders("a100", 1, 1)}, []string{"warm"}},
		"fewest chunks":                 {asks(8, "a100"), map[string]Victims{"eight": placeholders("a100", 1, 1, 1, 1, 1, 1, 1, 1), "one": placeholders("a100", 8)}, []string{"one"}},
		"then the smallest":             {asks(1, "a100"), map[string]Victims{"big": placeholders("a100", 8), "small": placeholders("a100", 1)}, []string{"small"}},
		"of ties the first name":        {asks(1, "a100"), map[string]Victims{"y": placeholders("a100", 1), "x": placeholders("a100", 1)}, []string{"x"}},
		"guarded against the class":     {asks(1), map[string]Victims{"warm": placeholders("a100", 1)}, nil},
		"ordinary preemption goes on":   {asks(1), map[string]Victims{"warm": placeholders("a100", 1), "work": {Pods: []Victim{real}, PDBViolations: 2}}, []string{"work"}},
		"an empty list is kept":         {asks(1, "a100"), map[string]Victims{"nobody": {}}, []string{"nobody"}},
		"also beside a takeover":        {asks(1, "a100"), map[string]Victims{"nobody": {}, "warm": placeholders("a100", 1), "work": {Pods: []Victim{real}}}, []string{"nobody", "warm"}},
		"nothing to choose from":        {asks(1), nil, nil},
		"the first tier first":          {asks(2, "a100"), map[string]Victims{"late": inTier(3, placeholders("a100", 2)), "early": placeholders("a100", 1, 1)}, []string{"early"}},
		"by the last that it touches":   {asks(2, "a100"), map[string]Victims{"both": with(inTier(3, placeholders("a100", 1)), placeholders("a100", 1).Pods...), "second": inTier(2, placeholders("a100", 1, 1, 1))}, []string{"second"}},
		"own ones of a later tier":      {asks(2, "a100"), map[string]Victims{"lent": placeholders("h100", 2), "own": inTier(9, placeholders("a100", 2))}, []string{"own"}},
		"its own before what is lent":   {asks(2, "a100"), map[string]Victims{"lent": placeholders("h100", 2), "own": placeholders("a100", 1, 1)}, []string{"own"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := SelectVictims(test.pod, asCandidates(test.candidates), held)
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

// TestPlaceholdersDieInsteadOfRealWork: the scheduler goes by priority alone, and takes work of a
// lower priority than placeholders have where both are on a node.
func TestPlaceholdersDieInsteadOfRealWork(t *testing.T) {
	work := Victim{UID: "work", Requests: quantity.Vector{gpu: 4}, Priority: -100}
	node := func(edit ...func(*Node)) *Node {
		n := used("n", 4, func(n *Node) {
			n.Stand = placeholders("a100", 1, 3).Pods
			n.Placeholders = quantity.Vector{gpu: 4}
		})
		for _, e := range edit {
			e(n)
		}
		return n
	}
	// taken gives the small placeholder to another pod, which is expected there.
	taken := func(n *Node) { n.Stand[0].Taken = true }
	expects := func(gpus int64) func(*Node) { return func(n *Node) { n.Tentative = quantity.Vector{gpu: gpus} } }
	roomy := func(n *Node) { n.Stand, n.Placeholders = nil, nil }
	bound := asks(4, "a100")
	bound.Plain = false
	cheap := asks(4, "a100")
	cheap.Priority = -10
	batch := asks(1, "a100")
	batch.Priority = -8
	// later moves the placeholders, the small one and the large one, to tiers.
	later := func(small, large int32) func(*Node) {
		return func(n *Node) { n.Stand[0].Priority, n.Stand[1].Priority = small-10, large-10 }
	}
	tests := map[string]struct {
		pod  *Pod
		node *Node
		want []types.UID
	}{
		"both placeholders do":              {asks(4, "a100"), node(), []types.UID{"a1001", "a1000"}},
		"only as many as are needed":        {asks(3, "a100"), node(), []types.UID{"a1001"}},
		"they are too few":                  {asks(5, "a100"), node(), []types.UID{"work"}},
		"free room counts":                  {asks(5, "a100"), node(func(n *Node) { n.Allocatable = quantity.Vector{gpu: 9} }), []types.UID{"a1001", "a1000"}},
		"unless somebody is expected there": {asks(5, "a100"), node(func(n *Node) { n.Allocatable, n.Tentative = quantity.Vector{gpu: 9}, quantity.Vector{gpu: 1} }), []types.UID{"work"}},
		"one is given to another pod":       {asks(3, "a100"), node(taken, expects(1)), []types.UID{"a1001"}},
		"and is not there for two":          {asks(4, "a100"), node(taken, expects(1)), []types.UID{"work"}},
		"room is coming":                    {asks(1, "a100"), node(taken), nil},
		"room has just come":                {asks(1, "a100"), node(roomy, func(n *Node) { n.Settling = true }), nil},
		"the scheduler knows of room":       {asks(1, "a100"), node(roomy), []types.UID{"work"}},
		"room is coming for others":         {asks(1, "a100"), node(taken, expects(4)), []types.UID{"work"}},
		"every resource must fit":           {asks(4, "a100"), node(func(n *Node) { n.Placeholders["cpu"], n.Allocatable["cpu"] = 0, 0 }), []types.UID{"a1001", "a1000"}},
		"guarded against the class":         {asks(4), node(), []types.UID{"work"}},
		"not of a lower priority":           {cheap, node(), []types.UID{"work"}},
		"the first tier goes first":         {asks(1, "a100"), node(later(1, 0)), []types.UID{"a1001"}},
		"also where it holds less":          {asks(1, "a100"), node(later(0, 1)), []types.UID{"a1000"}},
		"a later one where that is too few": {asks(2, "a100"), node(later(0, 1)), []types.UID{"a1001"}},
		"as late as its priority allows":    {batch, node(later(1, 2)), []types.UID{"a1000"}},
		"but no later":                      {batch, node(later(2, 2)), []types.UID{"work"}},
		"more than resources decides":       {bound, node(), []types.UID{"work"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := SelectVictims(test.pod, map[string]Candidate{"n": {Node: test.node, Victims: Victims{Pods: []Victim{work}, PDBViolations: 1}}}, held)
			var uids []types.UID
			for _, v := range got["n"].Pods {
				uids = append(uids, v.UID)
			}
			if diff := cmp.Diff(test.want, uids); diff != "" {
				t.Errorf("victims (-want +got):\n%s", diff)
			}
		})
	}
	needsCPU := asks(4, "a100")
	needsCPU.Requests["cpu"] = 1000
	if got := SelectVictims(needsCPU, map[string]Candidate{"n": {Node: node(), Victims: Victims{Pods: []Victim{work}}}}, held); got["n"].Pods[0].UID != "work" {
		t.Errorf("without the CPU that it asks for: %v, want the scheduler's victims", got)
	}
}

// TestRealWorkIsSpared: where every placeholder has been given to somebody, those that the scheduler
// would delete by itself go before real work does; and before a pod waits for room, it takes what is
// given to nobody.
func TestRealWorkIsSpared(t *testing.T) {
	work := Victims{Pods: []Victim{{UID: "work", Requests: quantity.Vector{gpu: 4}, Priority: -100}}}
	given := placeholders("a100", 1)
	given.Pods[0].Taken = true
	several := placeholders("a100", 1, 1)
	several.Pods[1].Taken = true
	going := placeholders("a100", 1)
	going.Pods[0].Taken, going.Pods[0].Going = true, true
	settling := Candidate{Node: used("settling", 4, func(n *Node) { n.Settling = true }), Victims: work}
	for name, test := range map[string]struct {
		candidates map[string]Candidate
		want       []string
	}{
		"given to others":          {map[string]Candidate{"given": {Victims: given}, "work": {Victims: work}}, []string{"given"}},
		"rather than to wait":      {map[string]Candidate{"given": {Victims: given}, "settling": settling}, []string{"given"}},
		"given to nobody":          {map[string]Candidate{"warm": {Victims: placeholders("a100", 1)}, "settling": settling}, []string{"warm"}},
		"only work is there":       {map[string]Candidate{"settling": settling, "work": {Victims: work}}, nil},
		"and there is no room":     {map[string]Candidate{"work": {Victims: work}}, []string{"work"}},
		"work beside placeholders": {map[string]Candidate{"both": {Victims: with(given, work.Pods...)}}, []string{"both"}},
		"several, one given":       {map[string]Candidate{"several": {Victims: several}, "work": {Victims: work}}, nil},
		"one that we delete":       {map[string]Candidate{"going": {Victims: going}, "work": {Victims: work}}, nil},
		"and work beside it":       {map[string]Candidate{"both": {Victims: with(going, work.Pods...)}}, nil},
	} {
		got := slices.Sorted(maps.Keys(SelectVictims(asks(1, "a100"), test.candidates, held)))
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: nodes (-want +got):\n%s", name, diff)
		}
		waited := asks(1, "a100")
		waited.Waited = true
		if len(SelectVictims(waited, test.candidates, held)) == 0 {
			t.Errorf("%s: nothing for a pod that has waited long enough", name)
		}
	}
}

// TestNobodyDiesWhereWeRefuse: schedulers after 1.37 offer nodes on which nobody need die.
func TestNobodyDiesWhereWeRefuse(t *testing.T) {
	candidates := map[string]Candidate{"warm": {Node: &Node{Name: "warm", Pool: "a100"}}, "plain": {Node: &Node{Name: "plain"}}}
	got := SelectVictims(asks(1), candidates, held)
	if _, warm := got["warm"]; warm || len(got) != 1 {
		t.Errorf("another class may have %v, want plain alone", got)
	}
	if got := SelectVictims(asks(1, "a100"), candidates, held); len(got) != 2 {
		t.Errorf("the class may have %v, want both", got)
	}
}

// TestFilterAndScoreProperties holds that each node is answered once, in order, within the
// range of scores, and that the arguments stay as they are.
func TestFilterAndScoreProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		pod := asks(random.Int64N(9), []string{"a100", "h100"}[random.IntN(2)])
		pod.Exempt = random.IntN(4) == 0
		nodes := make([]*Node, random.IntN(20))
		for i := range nodes {
			nodes[i] = &Node{
				Name: fmt.Sprint("n", i), Pool: []string{"", "a100", "h100"}[random.IntN(3)], Leaving: random.IntN(5) == 0, Shares: random.Int64N(3),
				Domain:      []string{"", "r1", "r2"}[random.IntN(3)],
				Allocatable: quantity.Vector{gpu: random.Int64N(9)}, Real: quantity.Vector{gpu: random.Int64()}, Placeholders: quantity.Vector{gpu: random.Int64N(9)},
			}
		}
		show := func() string {
			text := fmt.Sprint(*pod)
			for _, n := range nodes {
				text += fmt.Sprint(*n)
			}
			return text
		}
		before := show()
		verdicts, scores := Filter(pod, nodes, held), Score(pod, nodes, held)
		if len(verdicts) != len(nodes) || len(scores) != len(nodes) {
			t.Fatalf("%d nodes, %d verdicts, %d scores", len(nodes), len(verdicts), len(scores))
		}
		for i, node := range nodes {
			if mine := slices.Contains(pod.Classes, node.Pool); verdicts[i].Reason != "" && (mine || pod.Exempt || pod.Requests[gpu] == 0 || node.Pool != "a100") {
				t.Fatalf("%+v refused on %+v", pod, node)
			}
			if scores[i] < 0 || scores[i] > MaxScore || node.Leaving && scores[i] != 0 {
				t.Fatalf("score %d of %+v", scores[i], node)
			}
		}
		best := 0
		for _, score := range scores {
			if score == MaxScore {
				best++
			}
		}
		if best > 1 {
			t.Fatalf("%d nodes are the best", best)
		}
		if after := show(); after != before {
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
		for node, v := range SelectVictims(asks(1, "a100"), asCandidates(candidates), held) {
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
