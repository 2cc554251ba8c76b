package forecast

import "math"

// features describe an origin and a time ahead of it to the ridge regressions. All but the
// first are differences from the mean of the last season, and so is what is forecast, so
// that a level never seen before is no news to them.
type features struct {
	scale
	calendar
	profile profile
	// windows are the spans, in steps, over which recent demand is averaged.
	windows []int
	// blur is how far around a slot of the past its level is averaged.
	blur int
	// names are for whoever asks what a forecast is made of.
	names []string
}

func newFeatures(s scale, c calendar, keep int) features {
	f := features{scale: s, calendar: c, blur: c.part(1.0 / 96)}
	for _, share := range []float64{1.0 / 96, 1.0 / 24, 1.0 / 8, 1.0 / 3} {
		if steps := int(share * float64(c.span)); steps >= 2 {
			f.windows = append(f.windows, steps)
		}
	}
	f.names = []string{"constant", "now", "one step ago", "two steps ago", "level of the day", "level of the day before"}
	for range f.windows {
		f.names = append(f.names, "recent mean")
	}
	if c.seasonal {
		f.profile = newProfile(s.track, c, keep)
		f.names = append(f.names, "now, later", "slot a season ago", "around the slot a season ago", "around the slot two seasons ago",
			"usual value then", "usual value now", "usual rise", "sine", "cosine")
		for range f.windows {
			f.names = append(f.names, "recent mean a season ago")
		}
	}
	if c.long > 0 {
		f.names = append(f.names, "slot a long season ago", "slot two long seasons ago", "level a long season ago")
		for range f.windows {
			f.names = append(f.names, "recent mean a long season ago")
		}
	}
	return f
}

// first is the earliest origin that has all features.
func (f *features) first() int {
	if f.seasonal {
		return f.span
	}
	return f.span - 1
}

// level is the mean of the season until an origin, from which all else is told.
func (f *features) level(origin int) float64 { return f.mean(origin-f.span+1, origin) }

// row fills x with the features of an origin and some steps ahead, which lie a share of
// the way through their part of the horizon, and returns the level that they are told from.
func (f *features) row(x []float64, origin, steps int, share float64) float64 {
	level := f.level(origin)
	now := f.values[origin]
	x = append(x[:0], 1, now-level, f.values[max(origin-1, 0)]-level, f.values[max(origin-2, 0)]-level,
		f.mean(0, origin)-level, f.mean(origin-2*f.span+1, origin-f.span)-level)
	for _, w := range f.windows {
		x = append(x, f.mean(origin-w+1, origin)-level)
	}
	if !f.seasonal {
		return level
	}
	fold := f.fold(origin)
	past := origin + steps - f.span*((steps+f.span-1)/f.span)
	usualThen, usualNow := f.profile.at(origin+steps, fold), f.profile.at(origin, fold)
	angle := 2 * math.Pi * float64(f.slot(origin+steps)) / float64(f.span)
	x = append(x, (now-level)*share, f.values[max(past, 0)]-level, f.mean(past-f.blur, min(past+f.blur, origin))-level,
		f.mean(max(past-f.span, 0)-f.blur, max(past-f.span, 0)+f.blur)-level,
		usualThen-level, usualNow-level, (usualThen-usualNow)*share, math.Sin(angle), math.Cos(angle))
	for _, w := range f.windows {
		then := max(origin-f.span, 0)
		x = append(x, f.mean(then-w+1, then)-level)
	}
	if f.long > 0 {
		f.longRow(x, origin, steps, level)
	}
	return level
}

// longRow appends what lay long seasons ago; before the first of them, a season ago stands in.
func (f *features) longRow(x []float64, origin, steps int, level float64) {
	past := origin + steps - f.long*((steps+f.long-1)/f.long)
	then := origin - f.long
	if past < 0 {
		past = origin + steps - f.span*((steps+f.span-1)/f.span)
	}
	if then < 0 {
		then = max(origin-f.span, 0)
	}
	twice := past - f.long
	if twice < 0 {
		twice = past
	}
	x = append(x, f.mean(past-f.blur, min(past+f.blur, origin))-level, f.mean(twice-f.blur, min(twice+f.blur, origin))-level,
		f.mean(then-f.span+1, then)-level)
	for _, w := range f.windows {
		x = append(x, f.mean(then-w+1, then)-level)
	}
}
