package member

// features describe an origin and a time ahead of it to the ridge regressions. All but the
// first are differences from the mean of the last season, and so is what is forecast, so
// that a level never seen before is no news to them.
type features struct {
	scale
	Calendar
	profile profile
	// windows are the spans, in steps, over which recent demand is averaged.
	windows []int
	// blur is how far around a slot of the past its level is averaged.
	blur int
	// names are for whoever asks what a forecast is made of. The first ofOrigin of them depend
	// on the origin alone.
	names    []string
	ofOrigin int
}

func newFeatures(s scale, c Calendar, keep int) features {
	f := features{scale: s, Calendar: c, blur: c.part(1.0 / 96)}
	for _, share := range []float64{1.0 / 96, 1.0 / 24, 1.0 / 8, 1.0 / 3} {
		if steps := int(share * float64(c.Span)); steps >= 2 {
			f.windows = append(f.windows, steps)
		}
	}
	f.names = []string{"constant", "now", "one step ago", "two steps ago", "level of all", "level of the season before"}
	add := func(named string, more ...string) {
		for range f.windows {
			f.names = append(f.names, named)
		}
		f.names = append(f.names, more...)
	}
	add("recent mean")
	if c.Seasonal {
		f.profile = newProfile(s.Track, c, keep)
		add("recent mean a season ago", "usual value now")
	}
	if c.Long > 0 {
		add("recent mean a long season ago", "level a long season ago")
	}
	f.ofOrigin = len(f.names)
	if c.Seasonal {
		f.names = append(f.names, "now, later", "slot a season ago", "around the slot a season ago",
			"around the slot two seasons ago", "usual value then", "usual rise", "sine", "cosine")
	}
	if c.Long > 0 {
		f.names = append(f.names, "slot a long season ago", "slot two long seasons ago")
	}
	return f
}

// first is the earliest origin that has all features.
func (f *features) first() int {
	if f.Seasonal {
		return f.Span
	}
	return f.Span - 1
}

// level is the mean of the season until an origin, from which all else is told.
func (f *features) level(origin int) float64 { return f.Mean(origin-f.Span+1, origin) }

// row is the features of one origin and one time ahead, kept between calls: those of the
// origin alone are computed again only when it changes.
type row struct {
	// x has the features, and room for the outcome.
	x []float64
	// origin is that which x was last filled for, and level what its features are told from.
	origin int
	level  float64
}

func (f *features) newRow() row { return row{x: make([]float64, len(f.names)+1), origin: -1} }

// fill computes the features of an origin and some steps ahead, which lie a share of the way
// through their part of the horizon.
func (f *features) fill(r *row, origin, steps int, share float64) {
	if r.origin != origin {
		r.origin, r.level = origin, f.level(origin)
		f.fillOrigin(r.x[:0], origin, r.level)
	}
	if f.Seasonal {
		f.fillAhead(r, steps, share)
	}
}

func (f *features) fillOrigin(x []float64, origin int, level float64) {
	x = append(x, 1, f.Values[origin]-level, f.Values[max(origin-1, 0)]-level, f.Values[max(origin-2, 0)]-level,
		f.Mean(0, origin)-level, f.Mean(origin-2*f.Span+1, origin-f.Span)-level)
	means := func(end int) {
		for _, w := range f.windows {
			x = append(x, f.Mean(end-w+1, end)-level)
		}
	}
	means(origin)
	if f.Seasonal {
		means(max(origin-f.Span, 0))
		x = append(x, f.profile.at(origin, f.Fold(origin))-level)
	}
	if f.Long > 0 {
		then := origin - f.Long
		if then < 0 { // before the first long season, a season ago stands in
			then = max(origin-f.Span, 0)
		}
		means(then)
		x = append(x, f.Mean(then-f.Span+1, then)-level)
	}
}

// fillAhead appends what depends on the time ahead. Where no long season lies behind, a
// season ago stands in.
func (f *features) fillAhead(r *row, steps int, share float64) {
	x, origin, level := r.x[:f.ofOrigin], r.origin, r.level
	fold, around := f.Fold(origin), func(i int) float64 { return f.Mean(i-f.blur, min(i+f.blur, origin)) - level }
	past := origin + steps - f.Span*((steps+f.Span-1)/f.Span)
	usualThen, usualNow := f.profile.at(origin+steps, fold), f.profile.at(origin, fold)
	slot := f.slot(origin + steps)
	x = append(x, (f.Values[origin]-level)*share, f.Values[max(past, 0)]-level, around(past), around(max(past-f.Span, 0)),
		usualThen-level, (usualThen-usualNow)*share, f.sines[slot], f.cosines[slot])
	if f.Long == 0 {
		return
	}
	if long := origin + steps - f.Long*((steps+f.Long-1)/f.Long); long >= 0 {
		past = long
	}
	twice := past - f.Long
	if twice < 0 {
		twice = past
	}
	_ = append(x, around(past), around(twice))
}
