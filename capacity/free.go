package capacity

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/internal/quantity"
)

// FreeChunks is how many chunks of each shape fit in the rooms, largest shape first, so
// that no room is counted twice. The answer is in the order of chunks.
func FreeChunks(chunks []Chunk, resource corev1.ResourceName, rooms []quantity.Vector) []int64 {
	order := make([]int, len(chunks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(chunks[b].Requests[resource] - chunks[a].Requests[resource])
	})
	free := make([]int64, len(chunks))
	for _, room := range rooms {
		for _, i := range order {
			if n := chunks[i].Requests.CountIn(room); n > 0 {
				free[i] += n
				room = room.Minus(chunks[i].Requests.Times(n))
			}
		}
	}
	return free
}
