package arrivals

import (
	"math"
	"math/rand/v2"
	"time"
)

// The generator's figures are those of the Philly trace of Microsoft (Jeon et al., USENIX
// ATC 2019; msr-fiddle/philly-traces, CC-BY-4.0), 67,270 jobs of three virtual clusters
// from September to December 2017, except where a comment says otherwise. They were fixed
// before any forecaster was tuned on what comes out.
var (
	// hourFactors are arrivals per hour of day, from 0 h UTC, relative to the mean.
	hourFactors = [24]float64{
		1.36, 1.07, 1.08, 1.16, 0.78, 1.25, 1.63, 1.97, 1.08, 0.95, 1.19, 0.99,
		0.86, 0.77, 0.71, 0.72, 0.58, 0.55, 0.70, 0.70, 0.95, 0.98, 1.01, 0.95,
	}
	// dayCounts are arrivals per day of the week, from Monday.
	dayCounts = [7]float64{9112, 10748, 11469, 13618, 12663, 4764, 4896}
	// sizes are the shares of job sizes, and the run time per size as a log-normal: mean and
	// deviation of the logarithm of seconds.
	sizes = []struct {
		gpus             int
		share, mu, sigma float64
	}{
		{1, 0.9586, 6.59, 1.97},
		{2, 0.022, 3.12, 0.97},
		{4, 0.009, 6.89, 2.63},
		{8, 0.010, 8.25, 2.52},
		{16, 0.0004, 8.25, 2.52}, // too few to fit: as for 8
	}
)

const (
	// meanPerHour is ours: so many arrivals that one hour of a working day's morning has
	// several hundred jobs, and that a two-core machine can play them.
	meanPerHour = 180.0
	// meanBatch is ours: jobs are submitted in batches whose size is geometric with this
	// mean. The Fano factor of 5-minute counts then is about 2·2.5−1 = 4 beyond the daily
	// profile; Philly's is 33, so this is the tamer end of what is real.
	meanBatch = 2.5
	// batchGap is the mean time between two jobs of a batch; Philly's median gap is 8 s.
	batchGap = 8 * time.Second
	// longest bounds a run time; longer ones are drawn again. It is ours: the tail of the
	// log-normal is heavier than that of the trace.
	longest = 7 * 24 * time.Hour
	// weeks is how much is generated: four of history, and one to choose the window from.
	weeks = 5
	week  = 7 * 24 * time.Hour
)

// epoch is the Monday on which the generated time begins.
var epoch = time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC)

// Generate makes a workload: the window is the steepest rise of demand in the fifth week.
func Generate(seed uint64, window time.Duration) Workload {
	random := rand.New(rand.NewPCG(seed, 0x466f7265))
	var jobs []Job
	peak := 0.0
	for t := range week / time.Hour {
		peak = max(peak, rate(t*time.Hour+30*time.Minute))
	}
	for at := time.Duration(0); at < weeks*week; {
		at += exponential(random, time.Duration(float64(time.Hour)/(meanPerHour/meanBatch*peak)))
		if random.Float64()*peak > rate(at) {
			continue // thinning (Lewis, Shedler 1979)
		}
		jobs = append(jobs, batch(random, at)...)
	}
	sortJobs(jobs)
	start := steepest(jobs, (weeks-1)*week, weeks*week, window)
	return Workload{Input: "generated", Start: epoch.Add(start), Window: window, Jobs: shift(jobs, start, window)}
}

// rate is the arrivals at a time relative to their mean: a straight line from the middle
// of one hour to the middle of the next, times the factor of the day.
func rate(at time.Duration) float64 {
	hours := at.Hours() - 0.5
	whole := math.Floor(hours)
	part := hours - whole
	hour := (int(whole) + 24) % 24
	total := 0.0
	for _, count := range dayCounts {
		total += count
	}
	day := int(at.Hours()/24) % 7
	return (hourFactors[hour]*(1-part) + hourFactors[(hour+1)%24]*part) * dayCounts[day] / (total / 7)
}

func batch(random *rand.Rand, at time.Duration) []Job {
	var jobs []Job
	for {
		jobs = append(jobs, job(random, at))
		if random.Float64() > 1-1/meanBatch {
			return jobs
		}
		at += exponential(random, batchGap)
	}
}

func job(random *rand.Rand, at time.Duration) Job {
	u := random.Float64()
	size := sizes[0]
	for _, s := range sizes {
		size = s
		if u < s.share {
			break
		}
		u -= s.share
	}
	for {
		seconds := math.Exp(size.mu + size.sigma*random.NormFloat64())
		if run := time.Duration(seconds * float64(time.Second)); seconds < longest.Seconds() && run >= time.Second {
			return Job{At: at, Run: run, GPUs: size.gpus}
		}
	}
}

func exponential(random *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(random.ExpFloat64() * float64(mean))
}
