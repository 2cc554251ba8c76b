package handler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/extender"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/suits"
)

// PodExplanation is how the extender sees a pod.
type PodExplanation struct {
	Requests quantity.Vector
	Classes  []string
	Exempt   bool
	// Nodes are those that offer what the pod asks for, the best first.
	Nodes []NodeExplanation
}

// NodeExplanation is how it sees one node for the pod.
type NodeExplanation struct {
	Name, Pool string
	// Lacks are the resources that are not free, as "nvidia.com/gpu (1 of 8 free)".
	Lacks []string
	// Unfit is why the pod may not go there whatever is free; empty if it may.
	Unfit string
	// Placeholders is how many could be taken over.
	Placeholders int
	Verdict      extender.Verdict
	Score        int64
}

// Explain says how a pod fares on every node that offers what it asks for.
func (x *Index) Explain(pod *corev1.Pod) PodExplanation {
	x.mu.Lock()
	defer x.mu.Unlock()
	if pod.Spec.NodeName != "" {
		x.drop(pod.UID) // as if it were to be placed now
	}
	x.release(pod.UID)
	asked := x.pod(pod)
	e := PodExplanation{Requests: asked.Requests, Classes: asked.Classes, Exempt: asked.Exempt}
	var roomy []*extender.Node // those that the scheduler would ask about
	at, fits := map[string]int{}, suits.Of(pod)
	for _, name := range slices.Sorted(maps.Keys(x.nodes)) {
		n := x.nodes[name]
		if !n.known || !asked.Requests.FitsIn(n.Allocatable) {
			continue
		}
		one := explainNode(asked, &n.Node)
		if n.object != nil {
			one.Unfit = fits(n.object).String()
		}
		one.Verdict = extender.Filter(asked, []*extender.Node{&n.Node}, x.held)[0]
		if one.Unfit == "" && len(one.Lacks) == 0 && one.Verdict.Reason == "" {
			at[name] = len(e.Nodes)
			roomy = append(roomy, &n.Node)
		}
		e.Nodes = append(e.Nodes, one)
	}
	for i, score := range extender.Score(asked, roomy, x.held) {
		e.Nodes[at[roomy[i].Name]].Score = score
	}
	slices.SortStableFunc(e.Nodes, func(a, b NodeExplanation) int {
		return cmp.Or(cmp.Compare(a.Unfit, b.Unfit), cmp.Compare(len(a.Lacks), len(b.Lacks)), cmp.Compare(len(a.Verdict.Reason), len(b.Verdict.Reason)), cmp.Compare(b.Score, a.Score))
	})
	return e
}

// explainNode says what a node lacks for a pod, and who could make room.
func explainNode(asked *extender.Pod, n *extender.Node) NodeExplanation {
	free := n.Allocatable.Minus(n.Real).Minus(n.Placeholders).Minus(n.Tentative)
	one := NodeExplanation{Name: n.Name, Pool: n.Pool}
	for _, resource := range asked.Requests.Names() {
		if amount := asked.Requests[resource]; amount > free[resource] {
			one.Lacks = append(one.Lacks, fmt.Sprintf("%s (%d of %d free)", resource, max(free[resource], 0), n.Allocatable[resource]))
		}
	}
	for _, v := range n.Stand {
		if v.Priority < asked.Priority {
			one.Placeholders++
		}
	}
	return one
}

// String says in a line how the node fares.
func (n NodeExplanation) String() string {
	said := fmt.Sprintf("score %d", n.Score)
	switch {
	case n.Unfit != "":
		said = n.Unfit
	case n.Verdict.Reason != "":
		said = fmt.Sprintf("%s: %s", n.Verdict.Reason, n.Verdict.Message)
	case len(n.Lacks) > 0:
		said = "lacks " + strings.Join(n.Lacks, ", ")
		if n.Placeholders > 0 {
			said += fmt.Sprintf("; %d placeholders may make room", n.Placeholders)
		}
	}
	if n.Pool != "" {
		said += " (WarmPool " + n.Pool + ")"
	}
	return n.Name + "  " + said
}
