package extender

import "cmp"

// bestFit prefers the node that is left with the fewest free GPUs, then with the fewest shares
// of one.
func bestFit(t *task, a, b *Node) int {
	return cmp.Or(cmp.Compare(t.left(a), t.left(b)), cmp.Compare(a.free(t.scarce), b.free(t.scarce)))
}
