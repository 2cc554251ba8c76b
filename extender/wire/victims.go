package wire

import (
	"encoding/json"
	"errors"

	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// DecodeVictims decodes the body of preempt.
func DecodeVictims(body []byte) (*extenderv1.ExtenderPreemptionArgs, error) {
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

// MetaVictims are the candidates by UID, without null entries; without nodeCacheCapable the
// scheduler sends whole pods, yet the answer is always by UID.
func MetaVictims(args *extenderv1.ExtenderPreemptionArgs) map[string]*extenderv1.MetaVictims {
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
