// Package webhook decides about writes to the cluster: whether a workload may grow, and
// what a new pod is told about its GPUs and its WarmPool. It is pure: [Chain.Review] is a
// function of its [Request], so that a verdict can be tested and replayed without a
// cluster. Package handler beside it reads reviews, caches and the API server.
//
// A ceiling is the annotation forewarm.dev/max-replicas on a workload, on its Namespace,
// or on the Namespace kube-system, where it binds each workload of the cluster. The
// smallest that applies counts, and a write is let through where
//
//	new <= ceiling || new <= old
//
// with old = 0 on create: what stands above its ceiling already is grandfathered, and
// decreases always pass.
//
// A total bounds a sum: see package total.
//
// A write that changes the workload's own annotation and grows it is held to the smaller
// of the annotation before and after, so that a ceiling cannot be lifted and passed in one
// write. Raise it first, then grow.
package webhook
