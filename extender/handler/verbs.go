package handler

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"forewarm.dev/extender"
	"forewarm.dev/extender/wire"
)

// filter refuses nodes with a reason each. They go into FailedAndUnresolvableNodes: an
// extender's refusal cannot be preempted away up to Kubernetes 1.37, and trying ends in an
// error of the scheduler.
func (h *handler) filter(c *wire.Nodes) reply {
	verdicts := h.Index.Filter(c.Pod, c.Names)
	if !slices.ContainsFunc(verdicts, extender.Verdict.Refuses) {
		return passAll(c)
	}
	passed := make([]string, 0, len(c.Names))
	var refused map[string]string
	for i, name := range c.Names {
		if !verdicts[i].Refuses() {
			passed = append(passed, name)
			continue
		}
		if refused == nil {
			refused = map[string]string{}
		}
		refused[name] = verdicts[i].Message
	}
	return filtered(c, passed, refused)
}

func passAll(c *wire.Nodes) reply { return filtered(c, c.Names, nil) }

// filtered answers in kind: names for names, nodes for nodes.
func filtered(c *wire.Nodes, passed []string, refused map[string]string) reply {
	if c.Whole == nil {
		return func(b []byte) ([]byte, error) { return wire.AppendNames(b, passed, refused), nil }
	}
	result := &extenderv1.ExtenderFilterResult{Nodes: &corev1.NodeList{}, FailedAndUnresolvableNodes: refused}
	for _, name := range passed {
		result.Nodes.Items = append(result.Nodes.Items, *c.Whole[name])
	}
	return encoded(result)
}

func (h *handler) prioritize(c *wire.Nodes) reply {
	scores := h.Index.Score(c.Pod, c.Names)
	return func(b []byte) ([]byte, error) { return wire.AppendScores(b, c.Names, scores), nil }
}

func noScores(*wire.Nodes) reply {
	return func(b []byte) ([]byte, error) { return wire.AppendScores(b, nil, nil), nil }
}

func encoded(result any) reply {
	return func(b []byte) ([]byte, error) {
		text, err := json.Marshal(result)
		return append(b, text...), err
	}
}

func (h *handler) preempt(args *extenderv1.ExtenderPreemptionArgs) reply {
	candidates := Candidates{}
	for node, victims := range wire.MetaVictims(args) {
		c := CandidateVictims{PDBViolations: victims.NumPDBViolations}
		for _, pod := range victims.Pods {
			c.Pods = append(c.Pods, types.UID(pod.UID))
		}
		candidates[node] = c
	}
	result := &extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: map[string]*extenderv1.MetaVictims{}}
	for node, victims := range h.Index.SelectVictims(args.Pod, candidates) {
		result.NodeNameToMetaVictims[node] = metaOf(victims)
	}
	return encoded(result)
}

func metaOf(victims extender.Victims) *extenderv1.MetaVictims {
	m := &extenderv1.MetaVictims{NumPDBViolations: victims.PDBViolations}
	for _, v := range victims.Pods {
		m.Pods = append(m.Pods, &extenderv1.MetaPod{UID: string(v.UID)})
	}
	return m
}

func keepCandidates(args *extenderv1.ExtenderPreemptionArgs) reply {
	return encoded(&extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: wire.MetaVictims(args)})
}
