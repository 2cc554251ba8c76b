package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"
)

// promServer answers range queries by the answer of a test.
func promServer(t *testing.T, answer http.HandlerFunc) *Prometheus {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return newPrometheus(t, server.URL, nil)
}

func newPrometheus(t *testing.T, url string, transport http.RoundTripper) *Prometheus {
	t.Helper()
	p, err := NewPrometheus(PrometheusOptions{
		URL: url, Query: `max_over_time(demand{pool="$pool",chunk="$chunk"}[$step])`, Transport: transport,
		MaxInFlight: 2, Timeout: 5 * time.Second, Now: func() time.Time { return day.Add(90 * time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// matrix is an answer with one series per list of "time value" pairs.
func matrix(series ...string) string {
	var streams []string
	for i, values := range series {
		streams = append(streams, fmt.Sprintf(`{"metric":{"n":"%d"},"values":[%s]}`, i, values))
	}
	return `{"status":"success","data":{"resultType":"matrix","result":[` + strings.Join(streams, ",") + `]}}`
}

func TestPrometheusAsksForTheEndsOfSteps(t *testing.T) {
	var form map[string]string
	p := promServer(t, func(w http.ResponseWriter, r *http.Request) {
		form = map[string]string{"query": r.FormValue("query"), "start": r.FormValue("start"), "end": r.FormValue("end"), "step": r.FormValue("step")}
		end := float64(day.Unix()) - 0.001
		fmt.Fprint(w, matrix(fmt.Sprintf(`[%.3f,"3"],[%.3f,"NaN"],[%.3f,"5"]`, end-60, end, end+60)))
	})
	series, err := p.Load(t.Context(), Key{Pool: `a"100`, Chunk: "single"}, day.Add(-110*time.Second), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"query": `max_over_time(demand{pool="a\"100",chunk="single"}[60s])`, "step": "60",
		"start": strconv.FormatInt(day.Unix()-61, 10) + ".999", "end": strconv.FormatInt(day.Unix()+119, 10) + ".999",
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{3, math.NaN(), 5}, series.Values, cmpopts.EquateNaNs()); diff != "" || !series.Start.Equal(day.Add(-2*time.Minute)) {
		t.Errorf("series from %v\n%s", series.Start, diff)
	}
}

func TestPrometheusIsAskedInPiecesBelowItsLimit(t *testing.T) {
	var pieces atomic.Int32
	p := promServer(t, func(w http.ResponseWriter, r *http.Request) {
		pieces.Add(1)
		start, _ := strconv.ParseFloat(r.FormValue("start"), 64)
		end, _ := strconv.ParseFloat(r.FormValue("end"), 64)
		var values []string
		for at := start; at < end+30; at += 60 {
			values = append(values, fmt.Sprintf(`[%.3f,"%d"]`, at, int(at+1)/60%1000))
		}
		if len(values) > 11000 {
			t.Errorf("%d points in one query", len(values))
		}
		fmt.Fprint(w, matrix(strings.Join(values, ",")))
	})
	since := day.AddDate(0, 0, -28)
	series, err := p.Load(t.Context(), key, since, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(series.Values); n != 28*1440+2 || pieces.Load() != 5 {
		t.Errorf("%d values in %d queries, want %d in 5", n, pieces.Load(), 28*1440+2)
	}
	for i, value := range series.Values {
		if end := since.Unix() + int64(i+1)*60; int64(value) != end/60%1000 {
			t.Fatalf("value %d is %v, want %d", i, value, end/60%1000)
		}
	}
}

func TestPrometheusErrorsNameTheRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		body, want string
		incomplete bool
	}{
		"a wrong query":   {400, `{"status":"error","errorType":"bad_data","error":"1:5: parse error"}`, "refuses the query max_over_time(demand{pool=\"a100\",chunk=\"single\"}[60s]): 1:5: parse error: correct reserver.history.prometheus.query", false},
		"too many points": {422, `{"status":"error","errorType":"execution","error":"too many samples"}`, "too many samples", false},
		"no access":       {401, `who are you`, "client error: 401 who are you: check reserver.history.prometheus", false},
		"another page":    {200, `<html>hello</html>`, "check reserver.history.prometheus", false},
		"two series":      {200, matrix(`[1,"1"]`, `[1,"2"]`), "returns 2 series", false},
		"nothing":         {200, matrix(), "returns nothing for the query", true},
		"partly":          {200, `{"status":"success","warnings":["store 2 is down"],"data":{"resultType":"matrix","result":[{"metric":{},"values":[[` + strconv.FormatInt(day.Unix(), 10) + `,"1"]]}]}}`, "store 2 is down", true},
		"a vector":        {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, "with a vector", false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			p := promServer(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			})
			_, err := p.Load(t.Context(), key, day, time.Minute)
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, ErrUnreadable) != test.incomplete {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if asked.Load() != 1 {
				t.Errorf("asked %d times: another attempt changes nothing", asked.Load())
			}
		})
	}
}

// busy is a server that answers after some refusals.
type busy struct {
	refusals int
	asked    []time.Time
	inFlight atomic.Int32
	most     atomic.Int32
}

func (b *busy) RoundTrip(*http.Request) (*http.Response, error) {
	b.most.Store(max(b.most.Load(), b.inFlight.Add(1)))
	defer b.inFlight.Add(-1)
	b.asked = append(b.asked, time.Now())
	recorder := httptest.NewRecorder()
	switch {
	case b.refusals == 0:
		fmt.Fprint(recorder, matrix(fmt.Sprintf(`[%d,"1"]`, day.Unix())))
	case b.refusals%2 == 0:
		b.refusals--
		return nil, errors.New("connection reset")
	default:
		b.refusals--
		recorder.Header().Set("Retry-After", "3")
		recorder.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(recorder, "replaying the log")
	}
	return recorder.Result(), nil
}

func TestPrometheusIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &busy{refusals: 3}
		if _, err := newPrometheus(t, "http://prometheus", server).Load(t.Context(), key, day, time.Minute); err != nil {
			t.Fatal(err)
		}
		if len(server.asked) != 4 {
			t.Fatalf("asked %d times, want 4", len(server.asked))
		}
		if wait := server.asked[1].Sub(server.asked[0]); wait < 3*time.Second || wait > 4*time.Second {
			t.Errorf("came back after %v, although the server asked for 3s", wait)
		}
		if wait := server.asked[2].Sub(server.asked[1]); wait < 250*time.Millisecond || wait > 750*time.Millisecond {
			t.Errorf("the second wait was %v, want 250 to 750 ms", wait)
		}
	})
}

func TestAPrometheusThatIsAwayIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &busy{refusals: 1001}
		p := newPrometheus(t, "http://prometheus", server)
		p.options.Now = time.Now
		load := func() error {
			_, err := p.Load(t.Context(), key, time.Now().Add(-time.Hour), time.Minute)
			return err
		}
		for range 50 { // as many series
			if err := load(); err == nil || errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "connection reset") && !strings.Contains(err.Error(), "503 Service Unavailable replaying the log") {
				t.Fatalf("error %v", err)
			}
		}
		if len(server.asked) != tries {
			t.Errorf("asked %d times for 50 series, want %d", len(server.asked), tries)
		}
		time.Sleep(shortestPause)
		if err := load(); err == nil || len(server.asked) != 2*tries {
			t.Errorf("after the pause: asked %d times, error %v", len(server.asked), err)
		}
		server.refusals = 0
		time.Sleep(2 * shortestPause)
		if err := load(); err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("it answers again: %v", err)
		}
	})
}

func TestQueriesInFlightAreBounded(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 100)
	var inFlight, most atomic.Int32
	var mutex sync.Mutex
	p := promServer(t, func(w http.ResponseWriter, _ *http.Request) {
		mutex.Lock()
		most.Store(max(most.Load(), inFlight.Add(1)))
		mutex.Unlock()
		arrived <- struct{}{}
		<-release
		inFlight.Add(-1)
		fmt.Fprint(w, matrix(fmt.Sprintf(`[%d,"1"]`, day.Unix())))
	})
	var group errgroup.Group
	for range 20 {
		group.Go(func() error {
			_, err := p.Load(t.Context(), key, day, time.Minute)
			return err
		})
	}
	<-arrived
	<-arrived
	close(release)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if most.Load() != 2 {
		t.Errorf("%d in flight, want 2 at most", most.Load())
	}
}

func TestNoErrorShowsThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPrometheus(t, "http://me:secret@prometheus/root", &busy{refusals: 101})
		if _, err := p.Load(t.Context(), key, day, time.Minute); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "me:xxxxx@prometheus/root") {
			t.Errorf("error %v", err)
		}
	})
	if _, err := NewPrometheus(PrometheusOptions{URL: "prometheus:9090"}); err == nil || !strings.Contains(err.Error(), "write the root of its API") {
		t.Errorf("no URL: error %v", err)
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := newPrometheus(t, "http://prometheus", &busy{refusals: 101}).Load(ctx, key, day, time.Minute)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}
