package champion

import (
	"math"
	"math/rand/v2"
)

const (
	// fewestOrigins is the least number of origins to decide on.
	fewestOrigins = 28
	// leastBetter is by how much less the challenger's error must be.
	leastBetter = 0.05
	// leastProbability is how sure that must be. At 0.9 one of ten equally good challengers would
	// win by chance.
	leastProbability = 0.97
	// nominal is the coverage that the band from 0.1 to 0.9 should have, and apart how far
	// from it a challenger may be that is further from it than the champion.
	nominal, apart = 0.8, 0.05
	// resamples is the number of bootstrap samples.
	resamples = 4000
)

// Reason says in one word why a version has its outcome.
type Reason string

// Reasons.
const (
	// ReasonFirst is that of the version that a chunk begins with.
	ReasonFirst Reason = "First"
	// ReasonBetter says that the error was less by enough, surely enough.
	ReasonBetter Reason = "Better"
	// ReasonFewOrigins says that there were too few origins to decide on.
	ReasonFewOrigins Reason = "FewOrigins"
	// ReasonNotBetter says that the error was not less by 5 %.
	ReasonNotBetter Reason = "NotBetter"
	// ReasonNotSure says that the error may have been less by chance.
	ReasonNotSure Reason = "NotSure"
	// ReasonCoverage says that the band covered too little, or too much.
	ReasonCoverage Reason = "CoverageLost"
	// ReasonWorse says that the live error was more than that of the version before.
	ReasonWorse Reason = "LiveErrorWorse"
)

// Verdict is what the gate says of a challenger.
type Verdict struct {
	// Promote says that it takes over.
	Promote bool
	Reason  Reason
	// Better is by how much less its error was: 1 − error ÷ that of the champion.
	Better float64
	// Probability is the share of bootstrap samples in which its error was less.
	Probability float64
}

// Gate says whether a challenger takes over, that was the best of so many. The more there
// were, the surer it must be, since the best of many is better by chance (Bonferroni).
func Gate(champion, challenger Trial, of int, seed uint64) Verdict {
	v := Verdict{
		Better:      1 - ratio(sum(challenger.Losses), sum(champion.Losses)),
		Probability: probability(champion.Losses, challenger.Losses, seed),
	}
	was, would := champion.Score(), challenger.Score()
	switch {
	case was.Origins != would.Origins || would.Origins < fewestOrigins:
		v.Reason = ReasonFewOrigins
	case v.Better <= leastBetter:
		v.Reason = ReasonNotBetter
	case v.Probability < 1-(1-leastProbability)/float64(max(of, 1)):
		v.Reason = ReasonNotSure
	case math.Abs(would.Coverage-nominal) > max(apart, math.Abs(was.Coverage-nominal)):
		v.Reason = ReasonCoverage
	default:
		v.Promote, v.Reason = true, ReasonBetter
	}
	return v
}

// probability is the share of samples, drawn with replacement, in which the challenger's
// losses are less in sum. Origins are so far apart that a block is one of them.
func probability(champion, challenger []float64, seed uint64) float64 {
	n := min(len(champion), len(challenger))
	if n == 0 {
		return 0
	}
	random := rand.New(rand.NewPCG(seed, 0x6368616d))
	less := 0.0
	for range resamples {
		difference := 0.0
		for range n {
			i := random.IntN(n)
			difference += challenger[i] - champion[i]
		}
		if difference < 0 {
			less++
		}
	}
	return less / resamples
}
