package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"forewarm.dev/extender"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// checkNodes refuses requests that lack what every answer needs.
func checkNodes(a *extenderv1.ExtenderArgs) error {
	if a.Pod == nil {
		return errors.New("field Pod is missing")
	}
	if (a.Nodes == nil) == (a.NodeNames == nil) {
		return errors.New("exactly one of Nodes and NodeNames must be given")
	}
	return nil
}

func notProtocol(err error) error {
	return fmt.Errorf("the body is not a request of the extender protocol: %w", err)
}

// filter refuses nodes with a reason each. They go into FailedAndUnresolvableNodes: an
// extender's refusal cannot be preempted away up to Kubernetes 1.37, and trying ends in an
// error of the scheduler.
func (h *handler) filter(c *nodesCall) reply {
	verdicts := h.Index.Filter(c.pod, c.names)
	if !slices.ContainsFunc(verdicts, extender.Verdict.Refuses) {
		return passAll(c)
	}
	passed := make([]string, 0, len(c.names))
	var refused map[string]string
	for i, name := range c.names {
		if !verdicts[i].Refuses() {
			passed = append(passed, name)
			continue
		}
		if refused == nil {
			refused = map[string]string{}
		}
		refused[name] = verdicts[i].Message
	}
	return c.filtered(passed, refused)
}

func passAll(c *nodesCall) reply { return c.filtered(c.names, nil) }

// filtered answers in kind: names for names, nodes for nodes.
func (c *nodesCall) filtered(passed []string, refused map[string]string) reply {
	if c.nodes == nil {
		return func(b []byte) ([]byte, error) { return appendNames(b, passed, refused), nil }
	}
	result := &extenderv1.ExtenderFilterResult{Nodes: &corev1.NodeList{}, FailedAndUnresolvableNodes: refused}
	for _, name := range passed {
		result.Nodes.Items = append(result.Nodes.Items, *c.nodes[name])
	}
	return encoded(result)
}

func (h *handler) prioritize(c *nodesCall) reply {
	scores := h.Index.Score(c.pod, c.names)
	return func(b []byte) ([]byte, error) { return appendScores(b, c.names, scores), nil }
}

func zeroScores(c *nodesCall) reply {
	return func(b []byte) ([]byte, error) { return appendScores(b, c.names, nil), nil }
}

func encoded(result any) reply {
	return func(b []byte) ([]byte, error) {
		text, err := json.Marshal(result)
		return append(b, text...), err
	}
}

// decodeVictims decodes the body of preempt.
func decodeVictims(body []byte) (*extenderv1.ExtenderPreemptionArgs, error) {
	var a extenderv1.ExtenderPreemptionArgs
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, notProtocol(err)
	}
	if a.Pod == nil {
		return nil, errors.New("field Pod is missing")
	}
	if (a.NodeNameToVictims == nil) == (a.NodeNameToMetaVictims == nil) {
		return nil, errors.New("exactly one of NodeNameToVictims and NodeNameToMetaVictims must be given")
	}
	return &a, nil
}

func (h *handler) preempt(args *extenderv1.ExtenderPreemptionArgs) reply {
	candidates := Candidates{}
	for node, victims := range metaVictims(args) {
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
	return encoded(&extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: metaVictims(args)})
}

// metaVictims are the candidates by UID, without null entries; without nodeCacheCapable the
// scheduler sends whole pods, yet the answer is always by UID.
func metaVictims(args *extenderv1.ExtenderPreemptionArgs) map[string]*extenderv1.MetaVictims {
	all := map[string]*extenderv1.MetaVictims{}
	for node, victims := range args.NodeNameToMetaVictims {
		if victims == nil {
			continue
		}
		kept := &extenderv1.MetaVictims{NumPDBViolations: victims.NumPDBViolations}
		for _, pod := range victims.Pods {
			if pod != nil {
				kept.Pods = append(kept.Pods, pod)
			}
		}
		all[node] = kept
	}
	for node, victims := range args.NodeNameToVictims {
		if victims == nil {
			continue
		}
		converted := &extenderv1.MetaVictims{NumPDBViolations: victims.NumPDBViolations}
		for _, pod := range victims.Pods {
			if pod != nil {
				converted.Pods = append(converted.Pods, &extenderv1.MetaPod{UID: string(pod.UID)})
			}
		}
		all[node] = converted
	}
	return all
}
