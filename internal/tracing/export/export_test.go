package export

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/tracing"
	"forewarm.dev/test/collector"
)

// handler has one step.
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/filter", func(_ http.ResponseWriter, r *http.Request) {
		_, step := tracing.Step(r.Context(), "decide")
		step.End()
		tracing.Note(r.Context(), tracing.Result, "ok")
	})
	return mux
}

func ask(h http.Handler) {
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/filter", nil))
}

func TestSpansArrive(t *testing.T) {
	c := collector.New(t)
	tracer, stop, err := Start(t.Context(), "forewarm-extender", &config.Tracing{Endpoint: c.Endpoint, SamplingRatePerMillion: new(int32(1_000_000))}, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	ask(tracer.Serve(handler()))
	stop() // sends what waits
	spans := map[string]collector.Span{}
	for _, s := range c.Spans() {
		spans[s.Name] = s
	}
	filter, decide := spans["filter"], spans["decide"]
	if filter.Service != "forewarm-extender" || filter.Parent != "" || filter.Attributes[string(tracing.Result)] != "ok" || decide.Parent != filter.ID || decide.Trace != filter.Trace {
		t.Errorf("got %+v", c.Spans())
	}
}

// TestRates: without a rate nothing is traced that no caller traces.
func TestRates(t *testing.T) {
	for name, test := range map[string]struct {
		rate     *int32
		min, max int
	}{
		"none":  {nil, 0, 0},
		"zero":  {new(int32(0)), 0, 0},
		"half":  {new(int32(500_000)), 50, 150},
		"every": {new(int32(1_000_000)), 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := collector.New(t)
			tracer, stop, err := Start(t.Context(), "x", &config.Tracing{Endpoint: c.Endpoint, SamplingRatePerMillion: test.rate}, logr.Discard())
			if err != nil {
				t.Fatal(err)
			}
			h := tracer.Serve(handler())
			for range 200 {
				ask(h)
			}
			stop()
			if n := len(c.Spans()) / 2; n < test.min || n > test.max {
				t.Errorf("%d of 200 requests are traced, want %d to %d", n, test.min, test.max)
			}
		})
	}
}

func TestOff(t *testing.T) {
	tracer, stop, err := Start(t.Context(), "x", nil, logr.Discard())
	if tracer != nil || err != nil {
		t.Errorf("%v, %v", tracer, err)
	}
	stop()
}

// TestNoCollectorHoldsUpNothing: where nobody listens, where somebody takes connections and never answers, and so on,
// requests take what they take, spans are dropped beyond a bound, the end comes within its time, and the log
// says it once.
func TestNoCollectorHoldsUpNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := gone.Addr().String()
	_ = gone.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for name, endpoint := range map[string]string{"nobody listens": "http://" + nobody, "nobody answers": "http://" + silent.Addr().String(), "no such name": "http://collector.invalid:4318", "somebody else": other.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var lines []string
			log := funcr.New(func(_, args string) { mu.Lock(); defer mu.Unlock(); lines = append(lines, args) }, funcr.Options{})
			began := time.Now()
			tracer, stop, err := Start(t.Context(), "x", &config.Tracing{Endpoint: endpoint, SamplingRatePerMillion: new(int32(1_000_000))}, log)
			if err != nil || time.Since(began) > time.Second {
				t.Fatalf("Start took %s: %v", time.Since(began), err)
			}
			h := tracer.Serve(handler())
			var slowest time.Duration
			for range 5 * queued {
				asked := time.Now()
				ask(h)
				slowest = max(slowest, time.Since(asked))
			}
			if slowest > sending/2 {
				t.Errorf("a request took %s", slowest)
			}
			for end := time.Now().Add(3 * (collecting + sending)); ; time.Sleep(20 * time.Millisecond) {
				mu.Lock()
				told := len(lines)
				mu.Unlock()
				if told > 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatal("nothing is said of lost spans")
				}
			}
			began = time.Now()
			stop()
			if took := time.Since(began); took > 2*leaving {
				t.Errorf("the end took %s", took)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(lines) != 1 || !strings.Contains(lines[0], "Traces are lost") || !strings.Contains(lines[0], endpoint) {
				t.Errorf("it said:\n%s", strings.Join(lines, "\n"))
			}
		})
	}
}
