package extender

// keepWhole prefers nodes that somebody works on, or that the pod takes whole. Placeholders do
// no work: a node that only they keep can be given back.
func keepWhole(_ *task, a, b option) int {
	switch {
	case a.breaks == b.breaks:
		return 0
	case b.breaks:
		return -1
	default:
		return 1
	}
}
