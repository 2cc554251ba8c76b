package price

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
)

const gpu = "nvidia.com/gpu"

func chunks() []capacity.Chunk {
	return []capacity.Chunk{
		{Name: "node", Requests: quantity.Vector{gpu: 8}, WaitCostPerHour: 400, IdleCostPerHour: 24},
		{Name: "single", Requests: quantity.Vector{gpu: 1}, WaitCostPerHour: 60, IdleCostPerHour: 3},
	}
}

func of(n *corev1.Node, gpus int64) Node { return Node{n, quantity.Vector{gpu: gpus}} }

// told are the costs of the chunks, and where status says that they come from.
func told(rows []*v1alpha1.PriceStatus, chunks []capacity.Chunk) (costs []float64, sources []string) {
	for i, row := range rows {
		source := ""
		if row != nil {
			source = row.Source
		}
		costs, sources = append(costs, chunks[i].IdleCostPerHour), append(sources, source)
	}
	return costs, sources
}

func TestAChunkCostsItsShareOfTheNodes(t *testing.T) {
	spot := []string{"karpenter.sh/capacity-type", "spot"}
	annotated := node("c", "p4d")
	annotated.Annotations = map[string]string{v1alpha1.AnnotationPricePerHour: "40"}
	earlier := []v1alpha1.ChunkStatus{{Name: "node", Price: &v1alpha1.PriceStatus{IdleCostPerHour: "12", Source: "File"}}}
	for name, c := range map[string]struct {
		nodes   []Node
		status  []v1alpha1.ChunkStatus
		costs   []float64
		sources []string
	}{
		"one node":                            {[]Node{of(node("a", "p4d"), 8)}, nil, []float64{32.77, 4.09625}, []string{"File", "File"}},
		"the mean of two":                     {[]Node{of(node("a", "p4d"), 8), of(node("b", "p4d", spot...), 8)}, nil, []float64{21.3, 2.6625}, []string{"File", "File"}},
		"a smaller node takes no whole chunk": {[]Node{of(node("a", "g5"), 1)}, earlier, []float64{12, 1.21}, []string{"File", "File"}},
		"two sources":                         {[]Node{of(node("a", "p4d"), 8), of(annotated, 8)}, nil, []float64{36.385, 4.548125}, []string{"Annotation, File", "Annotation, File"}},
		"unknown nodes do not count":          {[]Node{of(node("a", "p4d"), 8), of(node("d", "m5"), 8)}, nil, []float64{32.77, 4.09625}, []string{"File", "File"}},
		"none is known":                       {[]Node{of(node("d", "m5"), 8)}, earlier, []float64{24, 3}, []string{"", ""}},
		"no nodes: the last price":            {nil, earlier, []float64{12, 3}, []string{"File", ""}},
		"no nodes: its source is not asked any more": {
			nil,
			[]v1alpha1.ChunkStatus{{Name: "node", Price: &v1alpha1.PriceStatus{IdleCostPerHour: "12", Source: "File, OpenCost"}}},
			[]float64{24, 3},
			[]string{"", ""},
		},
	} {
		p := newPrices(write(t, "", list3), nil)
		p.refresh(t.Context(), start)
		priced := chunks()
		pool := &v1alpha1.WarmPool{Status: v1alpha1.WarmPoolStatus{Chunks: c.status}}
		rows, problem := p.Set(pool, c.nodes, priced)
		costs, sources := told(rows, priced)
		if diff := cmp.Diff([]any{c.costs, c.sources, ""}, []any{costs, sources, problem}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestStatusTakesWhatIsTold: whatever nodes and servers say, the API server takes the status, which holds more
// than prices.
func TestStatusTakesWhatIsTold(t *testing.T) {
	p := newPrices("", nil)
	for _, text := range []string{"1e300", "1e9", "0", strings.Repeat("9", 40_000)} {
		n := node("a", "p4d")
		n.Annotations = map[string]string{v1alpha1.AnnotationPricePerHour: text}
		rows, problem := p.Set(&v1alpha1.WarmPool{}, []Node{of(n, 8)}, chunks())
		switch row := rows[0]; {
		case row != nil && len(row.IdleCostPerHour) > 32:
			t.Errorf("%.9s: costs %s", text, row.IdleCostPerHour)
		case row == nil && (len(problem) > 200 || !strings.Contains(problem, "node a") || !strings.Contains(problem, "write a decimal number")):
			t.Errorf("%.9s: problem %q, want the node and what to write, in short", text, problem)
		}
	}
	long := short(strings.Repeat("é", 40_000) + "\xff")
	if len(long) > 1100 || !utf8.ValidString(long) || short("as it is") != "as it is" {
		t.Errorf("of a long text: %q", long)
	}
}

// TestANewLeaderKeepsThePrice: while a source cannot be read, what status tells is the last good price.
func TestANewLeaderKeepsThePrice(t *testing.T) {
	answer := ""
	p := newPrices("", openCost(t, &answer))
	pool := &v1alpha1.WarmPool{Status: v1alpha1.WarmPoolStatus{Chunks: []v1alpha1.ChunkStatus{
		{Name: "node", Price: &v1alpha1.PriceStatus{IdleCostPerHour: "9", Source: "OpenCost"}},
	}}}
	nodes := []Node{of(node("n3", "p4d"), 8)}
	for i, c := range []struct {
		answer string
		cost   float64
		failed bool
	}{{"", 9, true}, {assets, 9, false}, {"{}", 24, false}} {
		answer = c.answer
		p.refresh(t.Context(), start.Add(time.Duration(i)*openCostEvery))
		priced := chunks()
		rows, problem := p.Set(pool, nodes, priced)
		if priced[0].IdleCostPerHour != c.cost || strings.Contains(problem, "OpenCost") != c.failed {
			t.Errorf("%d: %v at %v, problem %q; want %v", i, rows[0], priced[0].IdleCostPerHour, problem, c.cost)
		}
	}
}

// TestPricesAreWhatIsBudgetedFor: eight singles on a node of 32.77 per hour have cost what they have by its
// price, and so much of the day is gone.
func TestPricesAreWhatIsBudgetedFor(t *testing.T) {
	p := newPrices(write(t, "", list3), nil)
	p.refresh(t.Context(), start)
	pool := &v1alpha1.WarmPool{Spec: v1alpha1.WarmPoolSpec{Sizing: v1alpha1.SizingSpec{IdleBudgetPerHour: "25", IdleBudgetPerDay: "100"}}}
	pool.Status.Idle = &v1alpha1.IdleStatus{At: metav1.NewTime(start.Add(-time.Hour)), Spent: "10"}
	limits := capacity.Limits{Chunks: chunks()}
	p.Set(pool, []Node{of(node("a", "p4d"), 8)}, limits.Chunks)
	var held []*corev1.Pod
	for range 8 {
		held = append(held, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelChunk: "single"}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}})
	}
	idle, err := SetBudget(pool, held, &limits, start)
	if err != nil || idle.Spent != "42.770000" || *limits.IdleBudgetPerHour != 25 || *limits.IdleBudgetLeft != 100-42.77 {
		t.Errorf("spent %v, %v left, %v", idle, limits.IdleBudgetLeft, err)
	}
}
