package capacity

import "time"

// Declared is demand that somebody has announced.
type Declared struct {
	// In is how long from now it starts, and Until when it ends; both are negative once that is past.
	In, Until time.Duration
	// Level is the demand that there will be at least, in chunks, with what runs now.
	Level float64
}

// declared adds to what is asked for what the highest of the announced demands within the window
// needs beyond the demand of now. It is certain, so that its cost is not weighed; the chunk's max and
// all other limits bind. Demand that has come counts as its own, so that nothing is asked for twice.
func (p *ChunkPlan) declared(asked int64, demand ChunkDemand, window time.Duration) (int64, bool) {
	certain := false
	for _, d := range demand.Declared {
		if d.In > window || d.Until <= 0 {
			continue
		}
		if more := ceil(d.Level - demand.Now); more > asked {
			asked, certain, p.Reason = more, true, ReasonDeclared
		}
	}
	return asked, certain
}
