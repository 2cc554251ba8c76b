package karpenter

import (
	"math"
	"strconv"
	"strings"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// Ceiling is the max-nodes of the NodePools that a pool's nodes may come from: of several, the sum of what each
// leaves, and none where one of them binds nothing, since that has nodes for all. standing counts the nodes of a
// NodePool.
func Ceiling(pools []NodePool, standing func(nodePool string) int64) capacity.Ceiling {
	if len(pools) == 1 {
		return pools[0].ceiling(standing)
	}
	var limits, left, stand int64
	var names []string
	var unread capacity.Ceiling
	for _, pool := range pools {
		c := pool.ceiling(standing).Read(nil)
		switch stand += c.Standing; {
		case c.Unread:
			unread = c
		case !c.Binds():
			return capacity.Ceiling{}
		default:
			limits, left = limits+*c.Limit, left+max(*c.Limit-c.Standing, 0)
		}
		names = append(names, pool.Labels[NodePoolLabel])
	}
	switch {
	case unread.Unread:
		return capacity.Ceiling{On: unread.On, Value: unread.Value, Standing: stand} // the last good sum holds
	case len(pools) == 0 || limits > math.MaxInt32:
		return capacity.Ceiling{}
	}
	return capacity.Ceiling{On: on("NodePools " + strings.Join(names, ", ")), Value: strconv.FormatInt(limits, 10), Standing: limits - left}
}

func (t NodePool) ceiling(standing func(string) int64) capacity.Ceiling {
	name := t.Labels[NodePoolLabel]
	return capacity.Ceiling{On: on("NodePool " + name), Value: t.MaxNodes, Mode: t.CeilingMode, Standing: standing(name)}
}

func on(object string) string { return "annotation " + v1alpha1.AnnotationMaxNodes + " on " + object }
