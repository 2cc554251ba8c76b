package status

import (
	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// Ceilings are the last that status says were in force: of the pool, its NodePool and the cluster.
func Ceilings(status *v1alpha1.WarmPoolStatus) [3]*int64 {
	if c := status.MaxNodes; c != nil {
		return [3]*int64{c.Pool, c.NodePool, c.Cluster}
	}
	return [3]*int64{}
}

// MaxNodes says which of these three are in force, nil where none is.
func MaxNodes(ceilings []capacity.Ceiling) *v1alpha1.MaxNodesStatus {
	out := v1alpha1.MaxNodesStatus{Pool: ceilings[0].Limit, NodePool: ceilings[1].Limit, Cluster: ceilings[2].Limit}
	if out == (v1alpha1.MaxNodesStatus{}) {
		return nil
	}
	return &out
}
