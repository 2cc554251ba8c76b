package forecast

import "math"

// past is an earlier origin to learn from.
type past struct {
	// index is that of its value.
	index int
	// seasons is how many seasons ago it was; apart how far, as a share of a season, its slot
	// is from that of now.
	seasons, apart float64
	// stands is for how many origins it stands: those with a slot far from now are thinned.
	stands float64
	// unrest is how much demand had been changing.
	unrest float64
}

const (
	// mostFolds is how many seasons back origins are looked for.
	mostFolds = 21
	// nearApart is how far a near slot may be from now: two hours of a day.
	nearApart = 1.0 / 12
	// nearPasts and farPasts are about how many origins there are with a slot near and far.
	nearPasts, farPasts = 250, 150
)

// newPasts are the earlier origins of the newest folds, latest first.
func (m *mixture) newPasts(folds int) []past {
	last := len(m.Values) - 1
	first := max(m.Cut(folds)-1, 0)
	for _, one := range m.set.Members {
		first = max(first, one.First)
	}
	span, all := float64(m.Span), float64(last-first)
	fine := max(int(math.Round(all*2*nearApart/nearPasts)), 1)
	coarse := max(int(math.Round(all*(1-2*nearApart)/farPasts))/fine, 1) * fine
	pasts := make([]past, 0, nearPasts+2*farPasts)
	for i := last - 1; i >= first; i -= fine {
		_, apart := math.Modf(float64(last-i) / span)
		p := past{index: i, seasons: float64(last-i) / span, apart: min(apart, 1-apart), stands: 1}
		if p.apart > nearApart {
			if (last-i)/coarse == (last-i+fine)/coarse {
				continue
			}
			p.stands = float64(coarse / fine)
		}
		if m.Observed[i+1] > m.Observed[i] {
			pasts = append(pasts, p)
		}
	}
	return pasts
}

// manner is how a part of the horizon learns from earlier origins. The values were chosen on
// series of all kinds together and are frozen.
type manner struct {
	// halfLife is after how many seasons an origin counts half.
	halfLife float64
	// rise and level are how much it counts that demand had just risen alike, and stood alike.
	rise, level float64
	// everywhere is how much the error over all origins counts beside that over those alike.
	everywhere float64
}

const (
	// farSlot is how much an origin counts whose slot is far from that of now.
	farSlot = 0.1
	// farFrom is the share of a season from which on a part of the horizon is far.
	farFrom = 1.0 / 6
)

// isFar says that a part of the horizon is far: what happened last tells little about it.
func (m *mixture) isFar(part int) bool { return float64(m.edges[part]) > farFrom*float64(m.Span) }

func (m *mixture) manner(part int) manner {
	if m.isFar(part) {
		return manner{halfLife: 14, rise: 0.2, level: 3, everywhere: 0.5}
	}
	return manner{halfLife: 7, rise: 1, level: 6}
}

// age is the weight of an origin for its age alone.
func (h manner) age(p past) float64 { return p.stands * math.Exp2(-p.seasons/h.halfLife) }

// compare tells how much each earlier origin says about now. The weight falls off slowly
// with the distance d, as 1 ÷ (1 + d²)², so that a state never seen before still has many
// origins to learn from.
func (m *mixture) compare() {
	m.likeness = make([][]float64, len(m.edges))
	for part, edge := range m.edges {
		how := m.manner(part)
		distance := make([]float64, len(m.pasts))
		m.apart(distance, how.rise, m.rise(max(edge/2, 1)))
		m.apart(distance, how.rise, m.rise(2*edge))
		m.apart(distance, how.rise*how.level, func(index int) float64 { return m.Values[index] })
		for i, p := range m.pasts {
			distance[i] = how.age(p) / (1 + distance[i]) / (1 + distance[i])
			if p.apart > nearApart {
				distance[i] *= farSlot
			}
		}
		m.likeness[part] = distance
	}
}

func (m *mixture) rise(span int) func(index int) float64 {
	return func(index int) float64 { return m.Values[index] - m.Values[max(index-span, 0)] }
}

// apart adds to each distance the squared difference of a property from that of now, in
// units of what is usual.
func (m *mixture) apart(distance []float64, weight float64, property func(index int) float64) {
	now, usual := property(len(m.Values)-1), 0.0
	for _, p := range m.pasts {
		d := property(p.index) - now
		usual += d * d / float64(len(m.pasts))
	}
	if usual == 0 {
		return
	}
	for i, p := range m.pasts {
		d := property(p.index) - now
		distance[i] += weight * d * d / usual
	}
}
