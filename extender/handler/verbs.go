package handler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// namesOf are the node names of a request, each once. With nodeCacheCapable the scheduler
// sends names, without it whole nodes.
func namesOf(args *extenderv1.ExtenderArgs) []string {
	var names []string
	if args.NodeNames != nil {
		names = *args.NodeNames
	} else {
		for i := range args.Nodes.Items {
			names = append(names, args.Nodes.Items[i].Name)
		}
	}
	seen := make(map[string]bool, len(names))
	unique := names[:0:0]
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			unique = append(unique, name)
		}
	}
	return unique
}

// filter refuses nodes with a reason each. They go into FailedAndUnresolvableNodes: an
// extender's refusal cannot be preempted away up to Kubernetes 1.37, and trying ends in an
// error of the scheduler.
func (h *handler) filter(args *extenderv1.ExtenderArgs) any {
	passed := []string{}
	refused := extenderv1.FailedNodesMap{}
	for _, verdict := range h.Index.Filter(args.Pod, namesOf(args)) {
		if verdict.Reason == "" {
			passed = append(passed, verdict.Node)
		} else {
			refused[verdict.Node] = verdict.Message
		}
	}
	return filterResult(args, passed, refused)
}

func passAll(args *extenderv1.ExtenderArgs) any {
	return filterResult(args, namesOf(args), nil)
}

// filterResult answers in kind: names for names, nodes for nodes.
func filterResult(args *extenderv1.ExtenderArgs, passed []string, refused extenderv1.FailedNodesMap) *extenderv1.ExtenderFilterResult {
	result := &extenderv1.ExtenderFilterResult{FailedAndUnresolvableNodes: refused}
	if args.NodeNames != nil {
		result.NodeNames = &passed
		return result
	}
	byName := make(map[string]*corev1.Node, len(args.Nodes.Items))
	for i := range args.Nodes.Items {
		byName[args.Nodes.Items[i].Name] = &args.Nodes.Items[i]
	}
	result.Nodes = &corev1.NodeList{}
	for _, name := range passed {
		result.Nodes.Items = append(result.Nodes.Items, *byName[name])
	}
	return result
}

func (h *handler) prioritize(args *extenderv1.ExtenderArgs) any {
	names := namesOf(args)
	scores := extenderv1.HostPriorityList{}
	for i, score := range h.Index.Score(args.Pod, names) {
		scores = append(scores, extenderv1.HostPriority{Host: names[i], Score: score})
	}
	return &scores
}

func zeroScores(args *extenderv1.ExtenderArgs) any {
	scores := extenderv1.HostPriorityList{}
	for _, name := range namesOf(args) {
		scores = append(scores, extenderv1.HostPriority{Host: name})
	}
	return &scores
}

func (h *handler) preempt(args *extenderv1.ExtenderPreemptionArgs) any {
	all := metaVictims(args)
	candidates := make(map[string][]types.UID, len(all))
	for node, victims := range all {
		uids := []types.UID{}
		for _, pod := range victims.Pods {
			uids = append(uids, types.UID(pod.UID))
		}
		candidates[node] = uids
	}
	result := &extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: map[string]*extenderv1.MetaVictims{}}
	for _, node := range h.Index.SelectVictims(args.Pod, candidates) {
		result.NodeNameToMetaVictims[node] = all[node]
	}
	return result
}

func keepCandidates(args *extenderv1.ExtenderPreemptionArgs) any {
	return &extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: metaVictims(args)}
}

// metaVictims are the candidates by UID; without nodeCacheCapable the scheduler sends
// whole pods, yet the answer is always by UID.
func metaVictims(args *extenderv1.ExtenderPreemptionArgs) map[string]*extenderv1.MetaVictims {
	all := map[string]*extenderv1.MetaVictims{}
	for node, victims := range args.NodeNameToMetaVictims {
		if victims != nil {
			all[node] = compact(victims)
		}
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

// compact drops null entries.
func compact(victims *extenderv1.MetaVictims) *extenderv1.MetaVictims {
	kept := &extenderv1.MetaVictims{NumPDBViolations: victims.NumPDBViolations}
	for _, pod := range victims.Pods {
		if pod != nil {
			kept.Pods = append(kept.Pods, pod)
		}
	}
	return kept
}
