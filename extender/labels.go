package extender

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// domainLabels are the labels by which nodes say whom they share a fast network with, the
// closest first: NVIDIA's NVLink clique, the clouds' blocks, and racks.
var domainLabels = []string{
	"nvidia.com/gpu.clique",
	"cloud.google.com/gce-topology-subblock",
	"cloud.google.com/gce-topology-block",
	"topology.k8s.aws/network-node-layer-3",
	"topology.kubernetes.io/rack",
}

// DomainOf is what a node shares a fast network with, by its labels; empty if they say nothing.
func DomainOf(node *corev1.Node) string {
	for _, label := range domainLabels {
		if value := node.Labels[label]; value != "" {
			return value
		}
	}
	return ""
}

// SharesOf is into how many parts NVIDIA's device plugin says that it slices each GPU.
func SharesOf(node *corev1.Node) int64 {
	shares, err := strconv.ParseInt(node.Labels["nvidia.com/gpu.replicas"], 10, 64)
	if err != nil || shares < 1 {
		return 1
	}
	return shares
}
