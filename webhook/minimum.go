package webhook

import (
	"fmt"
	"math"

	"forewarm.dev/internal/quantity"
)

// MinField is where a WarmPool says how much it always keeps.
const MinField = "spec.chunks[].min"

// Kept is one shape of what a WarmPool always keeps.
type Kept struct {
	Requests quantity.Vector
	Min      int64
}

// LeastNodes is how many nodes at least all that is kept needs: by the sum of each resource
// against the most that any node has of it, and by how many of each shape fit on one. It is never
// more than are needed, so that nothing is refused that could be. Where no node is known, one.
func LeastNodes(kept []Kept, nodes []quantity.Vector) int64 {
	sum, largest, least := map[string]float64{}, quantity.Vector{}, int64(0)
	for _, node := range nodes {
		for name, amount := range node {
			largest[name] = max(largest[name], amount)
		}
	}
	for _, k := range kept {
		if k.Min <= 0 {
			continue
		}
		least = max(least, 1)
		most := int64(0)
		for _, node := range nodes {
			most = max(most, k.Requests.CountIn(node))
		}
		if most > 0 {
			least = max(least, (k.Min+most-1)/most)
		}
		for name, amount := range k.Requests {
			sum[string(name)] += float64(amount) * float64(k.Min)
		}
	}
	for name, amount := range largest {
		if amount > 0 {
			least = max(least, int64(min(math.Ceil(sum[string(name)]/float64(amount)), math.MaxInt32)))
		}
	}
	return least
}

// Unjudged warns where no node tells how many nodes a minimum needs, and each of them would have to
// hold more than the largest shape.
func Unjudged(r Request, kept []Kept) string {
	shapes := make([]quantity.Vector, len(kept))
	for i, k := range kept {
		shapes[i] = k.Requests
	}
	limit, by, bound := Effective(r)
	if needs := LeastNodes(kept, shapes); bound && needs > limit {
		return fmt.Sprintf("%s: %s needs %d nodes unless one holds more than the largest chunk, and at most %d are allowed by %s; lower min, or have it raised, if nodes are no larger", r.Object, MinField, needs, limit, Source(by))
	}
	return ""
}
