package capacity

import "slices"

// SpreadOver has at least so many placeholders of each chunk kept in each zone, as far as its max goes.
func (l *Limits) SpreadOver(zones []string, least int64) {
	l.Zones, l.MinPerZone = zones, least
	for i := range l.Chunks {
		chunk := &l.Chunks[i]
		chunk.Min = max(chunk.Min, min(least*int64(len(zones)), chunk.Max))
	}
}

// leastIn is how many placeholders of a chunk a zone has at least; none in one that is not the pool's.
func (l Limits) leastIn(zone string) int64 {
	if slices.Contains(l.Zones, zone) {
		return l.MinPerZone
	}
	return 0
}

// short is how many placeholders each zone lacks, in the order of Zones. While the pool gets no nodes,
// none is asked for in a certain zone.
func (l Limits) short(state ChunkState) []int64 {
	if l.MinPerZone == 0 || l.Supply != Closed {
		return nil
	}
	short := make([]int64, len(l.Zones))
	for i, zone := range l.Zones {
		short[i] = max(l.MinPerZone-state.in(zone), 0)
	}
	return short
}

// in is how many placeholders hold a zone's room, or wait for a node there.
func (s ChunkState) in(zone string) int64 {
	var n int64
	for _, p := range s.Placeholders {
		if p.Zone == zone && (p.Stage == Reserved || p.Stage == Pending || p.Stage == Overdue) {
			n++
		}
	}
	return n
}

// overdue is the number of placeholders whose zones do not bring nodes.
func (s ChunkState) overdue() int64 {
	var n int64
	for _, p := range s.Placeholders {
		if p.Stage == Overdue {
			n++
		}
	}
	return n
}

// spread raises what is wanted where zones are short while others have more than they need: what these
// have too many of is given back once all have theirs, or before, where max leaves no room.
func (p *ChunkPlan) spread(state ChunkState, chunk Chunk, limits Limits) {
	lacking, held := int64(0), state.held()
	for _, n := range limits.short(state) {
		lacking += n
	}
	if lacking == 0 || held+lacking <= p.Wanted {
		return
	}
	unlimited, most := p.Wanted+p.Limited, chunk.Max-state.overdue()
	if asked := min(held+lacking, most); asked > max(held, p.Wanted) {
		p.Spread = asked - p.Wanted
		p.Wanted, p.Reason = asked, ReasonMinPerZone
	}
	p.limit(held+lacking-max(unlimited, most), ReasonMax)
}

// pin says how many of those that are to be ungated go to which zone: one each to those that are
// short, the shortest first.
func (p *ChunkPlan) pin(state ChunkState, limits Limits) {
	short := limits.short(state)
	p.Pinned = make([]int64, len(short))
	for left := p.Wanted - state.held(); left > 0; left-- {
		most := -1
		for i, n := range short {
			if n > 0 && (most < 0 || n > short[most]) {
				most = i
			}
		}
		if most < 0 {
			return
		}
		p.Pinned[most]++
		short[most]--
	}
}

// apart is how many of the pinned a zone has no room for.
func (p ChunkPlan) apart(state ChunkState, zone int) int64 {
	room := state.ZoneRoom[zone]
	for _, other := range state.Placeholders {
		if other.Stage == Pending {
			room-- // it may come to stand there
		}
	}
	return max(p.Pinned[zone]-max(room, 0), 0)
}

// allApart is how many of the pinned need a node, whatever room there is elsewhere.
func (p ChunkPlan) allApart(state ChunkState) int64 {
	var n int64
	for zone := range p.Pinned {
		n += p.apart(state, zone)
	}
	return n
}

// unpin leaves the zone open of so many for which their zones have no room, the last zones first. Those
// that are wanted for the zone's sake only are not wanted any more.
func (p *ChunkPlan) unpin(n int64, state ChunkState, by Reason) {
	if n <= 0 {
		return
	}
	for i := len(p.Pinned) - 1; i >= 0; i-- {
		back := min(n, p.apart(state, i))
		p.Pinned[i] -= back
		n -= back
		needless := min(back, p.Spread)
		p.Spread -= needless
		p.Wanted -= needless
		p.limit(needless, by)
	}
}

// zones are where the first ones are ungated to: those that are pinned, and those that replace others.
func (p ChunkPlan) zones(replaced []Placeholder, limits Limits) []string {
	var zones []string
	for i, n := range p.Pinned {
		zones = append(zones, slices.Repeat([]string{limits.Zones[i]}, int(n))...)
	}
	for _, other := range replaced {
		if limits.leastIn(other.Zone) > 0 {
			zones = append(zones, other.Zone)
		}
	}
	return zones
}

// protect puts those last that zones need, since the first ones are given back first, and takes those
// out that wait in zones which do not need them.
func (s stock) protect(limits Limits) (_ stock, needless []Placeholder) {
	kept := map[string]int64{}
	need := func(p Placeholder) bool {
		if kept[p.Zone] >= limits.leastIn(p.Zone) {
			return false
		}
		kept[p.Zone]++
		return true
	}
	var first, last []Placeholder
	for _, p := range slices.Backward(s.held) {
		if need(p) {
			last = append(last, p)
		} else {
			first = append(first, p)
		}
	}
	slices.Reverse(first)
	slices.Reverse(last)
	s.held = append(first, last...)
	var overdue []Placeholder
	for _, p := range s.overdue {
		if limits.Supply == Closed && need(p) {
			overdue = append(overdue, p)
		} else {
			needless = append(needless, p)
		}
	}
	s.overdue = overdue
	return s, needless
}
