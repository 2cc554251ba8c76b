package waiting

import (
	"testing"
	"time"
)

func TestRunOfIsWhatRanBeforeAndElseTheOwner(t *testing.T) {
	const m = time.Minute
	for name, c := range map[string]struct {
		owner   Class
		earlier []time.Duration
		want    Run
	}{
		"a Job":                           {ShortBatch, nil, Run{Class: ShortBatch}},
		"a Deployment":                    {SustainedService, []time.Duration{m, m}, Run{Class: SustainedService}},
		"nobody, and nothing ran before":  {"", []time.Duration{m, m}, Run{}},
		"nobody, and it ran before":       {"", []time.Duration{9 * m, m, 4 * m}, Run{ShortBatch, 4 * m}},
		"a Job that trains for days":      {ShortBatch, []time.Duration{time.Minute, 50 * time.Hour, 70 * time.Hour}, Run{SustainedService, 50 * time.Hour}},
		"workers that come and go":        {SustainedService, []time.Duration{m, 2 * m, 3 * m, 100 * time.Hour}, Run{ShortBatch, 2 * m}},
		"just as long as a batch may run": {"", []time.Duration{time.Hour, time.Hour, time.Hour}, Run{ShortBatch, time.Hour}},
	} {
		if got := RunOf(c.owner, c.earlier); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestARunSaysWhatItIs(t *testing.T) {
	for want, r := range map[string]Run{
		"":                        {},
		"class sustained-service": {Class: SustainedService},
		"class short-batch, usually runs for 5m0s":       {ShortBatch, 5 * time.Minute},
		"class sustained-service, usually runs for 2m0s": {SustainedService, 2 * time.Minute},
		"class short-batch, usually done in 4m0s, which is sooner than it is expected to start: another pool may serve it better": {ShortBatch, 4 * time.Minute},
	} {
		if got := r.Says(5 * time.Minute); got != want {
			t.Errorf("%+v says %q, want %q", r, got, want)
		}
	}
}
