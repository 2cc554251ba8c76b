package webhook

// owned lets through what an object's controller asks for within its own count, also with a
// malformed annotation, which controllers copy to what they own.
func owned(r Request, d *draft) bool {
	if r.Owner == nil {
		return false
	}
	for _, c := range r.Counts {
		if c.New > c.Old && c.New > r.Owner.Bound {
			return false
		}
	}
	return d.finish(Allow, ReasonOwned, "")
}
