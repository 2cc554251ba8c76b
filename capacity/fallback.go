package capacity

import (
	"math"

	corev1 "k8s.io/api/core/v1"
)

// Shortage is how many of a chunk a pool cannot get.
type Shortage struct {
	Chunk   Chunk
	Missing int64
}

// Fallback is a pool to turn to.
type Fallback struct {
	Pool     string
	Resource corev1.ResourceName
	Chunks   []Chunk
}

// Diversion is what one pool keeps for another.
type Diversion struct {
	// Chunk and Count are what is missing.
	Chunk string
	Count int64
	// Pool, Into and As say where and in which shape it is kept, and how many of that.
	Pool, Into string
	As         int64
}

// Divert spreads what is missing over the fallbacks, the first ones first, each up to the max of its
// chunks. Pools of another resource take nothing. What exceeds all of them is left out.
func Divert(missing []Shortage, resource corev1.ResourceName, fallbacks []Fallback) []Diversion {
	type place struct{ pool, chunk string }
	taken := map[place]int64{}
	var diversions []Diversion
	for _, short := range missing {
		left := short.Missing
		for _, f := range fallbacks {
			into, each, ok := convert(short.Chunk, resource, f)
			if left <= 0 || !ok {
				continue
			}
			at := place{f.Pool, into.Name}
			count := min(left, int64(float64(into.Max-taken[at])/each+1e-9))
			if count <= 0 {
				continue
			}
			as := ceil(float64(count) * each)
			taken[at] += as
			left -= count
			diversions = append(diversions, Diversion{Chunk: short.Chunk.Name, Count: count, Pool: f.Pool, Into: into.Name, As: as})
		}
	}
	return diversions
}

// convert says which chunk of a fallback stands for one of another pool, and how many of it do: the
// chunk that a pod of this shape would count for, as many as it takes to cover the request in each
// resource that both name.
func convert(chunk Chunk, resource corev1.ResourceName, to Fallback) (into Chunk, each float64, ok bool) {
	if to.Resource != resource {
		return into, 0, false
	}
	index, each, ok := Shape(to.Chunks, resource, chunk.Requests)
	if !ok {
		return into, 0, false
	}
	into = to.Chunks[index]
	for name, has := range into.Requests {
		if has > 0 {
			each = math.Max(each, float64(chunk.Requests[name])/float64(has))
		}
	}
	return into, each, true
}
