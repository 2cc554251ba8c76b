package integration

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"forewarm.dev/extender/freshness"
)

// TestQuiet: where nothing changes in a kind the API server says nothing for minutes, which is no reason for an
// extender to take itself to be behind.
func TestQuiet(t *testing.T) {
	if os.Getenv("FOREWARM_LONG") == "" {
		t.Skip("skipped: it takes minutes; set FOREWARM_LONG=1")
	}
	e := newExtenderEnv(t)
	longest := map[string]time.Duration{}
	loopNever(t, 3*freshness.Silence, func() error {
		for kind, age := range e.ages(t) {
			longest[kind] = max(longest[kind], age)
		}
		response, err := http.Get("http://" + e.health + "/readyz")
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readiness %d, when nothing was heard for at most %v; its log:\n%s", response.StatusCode, longest, e.process.Log())
		}
		return nil
	})
	t.Logf("nothing was heard for at most %v", longest)
	if longest["DeviceClass"] < time.Minute {
		t.Error("nothing was quiet, so that nothing is shown")
	}
}

// ages are how long ago the API server last said something, by kind.
func (e *extenderEnv) ages(t *testing.T) map[string]time.Duration {
	t.Helper()
	ages := map[string]time.Duration{}
	for _, m := range metricsOf(t, http.DefaultClient, "http://"+e.metrics+"/metrics")["forewarm_extender_cache_age_seconds"].GetMetric() {
		ages[m.GetLabel()[0].GetValue()] = time.Duration(m.GetGauge().GetValue() * float64(time.Second))
	}
	return ages
}
