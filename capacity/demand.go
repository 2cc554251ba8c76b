package capacity

import (
	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// Shape tells which chunk a pod's demand counts for, and how many chunks it is: the chunk
// with the largest request of the resource that does not exceed the pod's, else the
// smallest chunk; a pod larger than the largest chunk is that many of it. ok is false if
// the pod asks for none of the resource.
func Shape(chunks []Chunk, resource corev1.ResourceName, requests quantity.Vector) (index int, amount float64, ok bool) {
	asked := requests[resource]
	if asked <= 0 || len(chunks) == 0 {
		return 0, 0, false
	}
	best := -1
	smallest := 0
	for i, chunk := range chunks {
		size := chunk.Requests[resource]
		if size < chunks[smallest].Requests[resource] {
			smallest = i
		}
		if size <= asked && (best < 0 || size > chunks[best].Requests[resource]) {
			best = i
		}
	}
	if best < 0 {
		best = smallest
	}
	return best, float64(asked) / float64(chunks[best].Requests[resource]), true
}
