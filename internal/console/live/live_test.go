package live

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// listener is a page that listens.
type listener struct {
	lines chan string
	close func()
}

// listen opens a page at a path of a server.
func listen(t *testing.T, address string) listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(response.Body)
		t.Fatalf("status %s, %s", response.Status, body)
	}
	l := listener{lines: make(chan string, 100), close: cancel}
	go func() {
		defer close(l.lines)
		defer func() { _ = response.Body.Close() }()
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			l.lines <- scanner.Text()
		}
	}()
	return l
}

// hears waits for a line.
func (l listener) hears(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case line, open := <-l.lines:
			if !open {
				t.Fatalf("the stream ended before %q", want)
			}
			if line == want {
				return
			}
		case <-deadline:
			t.Fatalf("nothing said %q", want)
		}
	}
}

// server serves a hub.
func server(t *testing.T, h *Hub, stands func(context.Context) bool) (address string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Serve(ctx, w, r, stands) }))
	t.Cleanup(func() { cancel(); web.Close() })
	return web.URL + "/live", cancel
}

func always(context.Context) bool { return true }

func TestPagesAreToldOfTheirTopics(t *testing.T) {
	h := New(10, clock.RealClock{}, prometheus.NewRegistry())
	address, end := server(t, h, always)
	pools, plans := listen(t, address+"?topic=pools&topic=decisions"), listen(t, address+"?topic=plans")
	pools.hears(t, ": open")
	plans.hears(t, ": open")
	h.Publish(Pools)
	pools.hears(t, "event: changed")
	h.Publish(Decisions)
	pools.hears(t, "event: changed")
	h.Publish(Plans)
	plans.hears(t, "event: changed")
	end()
	for line := range pools.lines {
		if line == "event: changed" {
			t.Error("told of a topic that it does not watch")
		}
	}
	for line := range plans.lines {
		if line == "event: changed" {
			t.Error("told twice of one change, or of a topic that it does not watch")
		}
	}
}

func TestALostSessionEndsTheStream(t *testing.T) {
	c := clocktesting.NewFakeClock(time.Now())
	h := New(10, c, prometheus.NewRegistry())
	var stands atomic.Bool
	stands.Store(true)
	address, _ := server(t, h, func(context.Context) bool { return stands.Load() })
	page := listen(t, address+"?topic=pools")
	page.hears(t, ": open")
	waitFor(t, func() error {
		if !c.HasWaiters() {
			return fmt.Errorf("no ticker yet")
		}
		return nil
	})
	c.Step(beat)
	page.hears(t, ": alive")
	stands.Store(false)
	c.Step(beat)
	page.hears(t, "event: signedout")
	for line := range page.lines {
		if strings.HasPrefix(line, "event") {
			t.Errorf("said behind the end: %q", line)
		}
	}
}

func TestTheClockMoves(t *testing.T) {
	c := clocktesting.NewFakeClock(time.Now())
	h := New(10, c, prometheus.NewRegistry())
	address, _ := server(t, h, always)
	page := listen(t, address+"?topic=clock")
	page.hears(t, ": open")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	waitFor(t, func() error { // until the clock has a waiter, a step moves nobody
		c.Step(30 * time.Second)
		select {
		case line := <-page.lines:
			if line == "event: changed" {
				return nil
			}
		case <-time.After(10 * time.Millisecond):
		}
		return fmt.Errorf("not told")
	})
	cancel()
	<-done
}

func TestPagesAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := New(1, clock.RealClock{}, registry)
	address, _ := server(t, h, always)
	first := listen(t, address+"?topic=pools")
	first.hears(t, ": open")
	if got := testutil.ToFloat64(h.open); got != 1 {
		t.Errorf("%v pages are counted, want 1", got)
	}
	for path, want := range map[string]int{"?topic=pools": http.StatusServiceUnavailable, "": http.StatusBadRequest, "?topic=pods": http.StatusBadRequest} {
		response, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%q: %s, want %d", path, response.Status, want)
		}
	}
	first.close()
	waitFor(t, func() error {
		if got := testutil.ToFloat64(h.open); got != 0 {
			return fmt.Errorf("%v pages are counted behind the last", got)
		}
		return nil
	})
}

// waitFor polls until there is no error.
func waitFor(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatal(err)
}
