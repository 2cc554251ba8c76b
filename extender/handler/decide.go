package handler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
)

// Filter decides about nodes by name. What was expected of the pod before is forgotten; if one
// node alone passes, the pod is expected there, since the scheduler asks nothing more.
func (x *Index) Filter(pod *corev1.Pod, nodes []string) []extender.Verdict {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ahead.callers[pod.Spec.SchedulerName] = true
	x.release(pod.UID)
	delete(x.told, pod.UID) // the scheduler has found room
	asked := x.pod(pod)
	verdicts := extender.Filter(asked, x.convert(nodes), x.held)
	only, passed := "", 0
	for i := range verdicts {
		if verdicts[i].Reason == "" {
			only = nodes[i]
			passed++
		}
	}
	if passed == 1 {
		x.send(pod, asked, only)
	} else if p := x.ahead.promises[pod.UID]; p != nil {
		x.hold(asked, pod.ResourceVersion, p.node)
	}
	return verdicts
}

// Score rates nodes by name. The pod is expected on the best.
func (x *Index) Score(pod *corev1.Pod, nodes []string) []int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ahead.callers[pod.Spec.SchedulerName] = true
	x.release(pod.UID)
	asked := x.pod(pod)
	scores := extender.Score(asked, x.convert(nodes), x.held)
	for i, score := range scores {
		if score == extender.MaxScore {
			x.send(pod, asked, nodes[i])
			break
		}
	}
	return scores
}

// Candidates are victims given by UID per node name.
type Candidates map[string]CandidateVictims

// CandidateVictims are whom the scheduler would delete on one node.
type CandidateVictims struct {
	Pods          []types.UID
	PDBViolations int64
}

// SelectVictims chooses among candidates. Where the answer is a takeover, the pod is expected on
// its node and the placeholders are given to it; else it is expected where it was nominated once
// the scheduler says so. A pod that room is being made for ahead waits for that. Either tells that
// there is no room for pods alike. What comes leaves a pod without an answer for waitAtMost in a row,
// and no longer, whatever fails.
func (x *Index) SelectVictims(pod *corev1.Pod, candidates Candidates) map[string]extender.Victims {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ahead.callers[pod.Spec.SchedulerName] = true
	x.release(pod.UID)
	asked := x.pod(pod)
	asked.Waited = x.waited(pod)
	asked.Plain = asked.Plain && !x.swapsInVain(pod.UID)
	if !asked.Waited && x.comes(asked, pod.ResourceVersion) {
		x.waits(pod.UID, true)
		x.remember(pod, asked, candidates, nil)
		x.follow(pod, asked, candidates, true)
		return nil
	}
	x.withdraw(pod.UID)
	x.unclaim(pod.UID)
	converted := make(map[string]extender.Candidate, len(candidates))
	for name, given := range candidates {
		victims := extender.Victims{PDBViolations: given.PDBViolations}
		for _, uid := range given.Pods {
			victims.Pods = append(victims.Pods, x.victim(uid, pod))
		}
		converted[name] = x.candidate(name, victims)
	}
	answer := extender.SelectVictims(asked, converted, x.held)
	node, victims, ok := takeover(answer)
	if ok {
		x.hold(asked, pod.ResourceVersion, node)
		x.claim(pod.UID, victims)
		x.swap(pod.UID, victims, candidates[node])
	}
	x.follow(pod, asked, candidates, ok)
	x.waits(pod.UID, x.hides(*asked, converted, answer))
	x.remember(pod, asked, candidates, answer)
	return answer
}

func (x *Index) candidate(name string, victims extender.Victims) extender.Candidate {
	e := x.nodes[name]
	if e == nil || !e.known {
		return extender.Candidate{Victims: victims}
	}
	e.Settling = x.now().Before(e.settles)
	return extender.Candidate{Node: &e.Node, Victims: victims}
}

func (x *Index) convert(names []string) []*extender.Node {
	nodes := make([]*extender.Node, len(names))
	for i, name := range names {
		nodes[i] = x.node(name)
	}
	return nodes
}
