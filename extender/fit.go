package extender

import "cmp"

// bestFit prefers the node that is left with the fewest free GPUs, then with the fewest shares
// of one.
func bestFit(_ *task, a, b option) int {
	return cmp.Or(cmp.Compare(a.left, b.left), cmp.Compare(a.free, b.free))
}
