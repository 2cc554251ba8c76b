// Package champion decides, from errors alone, by which settings the demand of a chunk is
// forecast: those in use are the champion, others challenge it, and every pair that met is a
// version that can be returned to. It is pure.
//
//	settings   what versions differ in, and which challenge a champion
//	trial      the errors that settings would have made over the last seven days
//	gate       whether the challenger takes over
//	live       the errors that were made since, and whether they are a reason to act
//	record     the versions, and who of them is in use
package champion

import (
	"slices"
	"time"

	"forewarm.dev/forecast"
)

// Settings are what versions differ in. What a model learns from its window is learned anew
// all the time and is no part of them.
type Settings struct {
	// Model is SourceAuto or SourceCombined.
	Model forecast.Source
	// Window is how much of the history, back from its end, is learned from; zero means all.
	Window time.Duration
	// Seasons are the season lengths that are used, shortest first; without any they are found in
	// what is learned from.
	Seasons []time.Duration
}

const day = 24 * time.Hour

// First are the settings of a chunk that has just begun: all history, all seasons.
func First(seasons []time.Duration) Settings {
	return Settings{Model: forecast.SourceAuto, Seasons: slices.Clone(seasons)}
}

// Equal says that two settings are the same.
func (s Settings) Equal(o Settings) bool {
	return s.Model == o.Model && s.Window == o.Window && slices.Equal(s.Seasons, o.Seasons)
}

// Of is the part of a history that is learned from.
func (s Settings) Of(history forecast.Series) forecast.Series {
	most := int(s.Window / max(history.Step, 1))
	if surplus := len(history.Values) - most; most > 0 && surplus > 0 {
		history.Start = history.Start.Add(time.Duration(surplus) * history.Step)
		history.Values = history.Values[surplus:]
	}
	return history
}

// Known says that settings are of a kind that this version makes. Others, read from an
// object that a newer version or somebody else wrote, are not used.
func (s Settings) Known() bool {
	return (s.Model == forecast.SourceAuto || s.Model == forecast.SourceCombined) && s.Window >= 0
}

// Challengers are what may replace a champion, given the seasons of the pool: all history, two
// weeks, one week, and what came since a change of two days ago, without seasons longer than
// fit; and the simpler model. Windows that hold no less than the history are left out.
func Challengers(champion Settings, seasons []time.Duration, history time.Duration) []Settings {
	all := []Settings{
		First(seasons),
		{Model: forecast.SourceAuto, Window: 14 * day},
		{Model: forecast.SourceAuto, Window: 7 * day},
		{Model: forecast.SourceAuto, Window: 5 * day / 2},
		{Model: forecast.SourceCombined},
	}
	var challengers []Settings
	for _, s := range all {
		if s.Window >= history {
			continue
		}
		s.Seasons = nil
		for _, season := range seasons {
			if s.Window == 0 || 2*season <= s.Window {
				s.Seasons = append(s.Seasons, season)
			}
		}
		if !s.Equal(champion) {
			challengers = append(challengers, s)
		}
	}
	return challengers
}
