package capacity

import (
	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// Shape tells which chunk a pod's demand counts for, and how many chunks it is: the chunk
// with the largest request of the resource that does not exceed the pod's, else the
// smallest chunk; a pod larger than the largest chunk is that many of it. Chunks of none of
// the resource are passed over. ok is false if the pod asks for none, or if no chunk is left.
func Shape(chunks []Chunk, resource corev1.ResourceName, requests quantity.Vector) (index int, amount float64, ok bool) {
	asked := requests[resource]
	best, smallest := -1, -1
	for i, chunk := range chunks {
		size := chunk.Requests[resource]
		if size <= 0 {
			continue
		}
		if smallest < 0 || size < chunks[smallest].Requests[resource] {
			smallest = i
		}
		if size <= asked && (best < 0 || size > chunks[best].Requests[resource]) {
			best = i
		}
	}
	if best < 0 {
		best = smallest
	}
	if asked <= 0 || best < 0 {
		return 0, 0, false
	}
	return best, float64(asked) / float64(chunks[best].Requests[resource]), true
}
