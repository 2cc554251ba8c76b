// Package live tells open pages, by server-sent events, that what they show has changed.
package live

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// Topics that pages watch.
const (
	Pools     = "pools"
	Plans     = "plans"
	Decisions = "decisions"
	// Clock changes twice a minute, for what is read anew each time and watched by nobody.
	Clock = "clock"
)

// Topics are all of them.
var topics = []string{Pools, Plans, Decisions, Clock}

const (
	// atLeast is the pause between two messages to one page, in which changes are gathered.
	atLeast = time.Second
	// beat is how often a page is told that the connection stands, and asked about whether its session does.
	beat = 20 * time.Second
	// patience bounds one write to a page that does not read.
	patience = 10 * time.Second
)

// Hub knows what has changed, and which pages are open.
type Hub struct {
	clock clock.WithTicker
	most  int
	open  prometheus.Gauge

	mu       sync.Mutex
	versions map[string]uint64
	changed  chan struct{}
	count    int
}

// New makes a Hub for at most that many open pages.
func New(most int, c clock.WithTicker, registerer prometheus.Registerer) *Hub {
	h := &Hub{
		clock: c, most: most, versions: map[string]uint64{}, changed: make(chan struct{}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{Name: "forewarm_console_live_pages", Help: "Pages of the console that are told of changes."}),
	}
	registerer.MustRegister(h.open)
	return h
}

// Publish says that something of a topic has changed.
func (h *Hub) Publish(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions[topic]++
	close(h.changed)
	h.changed = make(chan struct{})
}

// Run moves the Clock until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	ticker := h.clock.NewTicker(30 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			h.Publish(Clock)
		}
	}
}

func (h *Hub) now() (map[string]uint64, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.versions), h.changed
}

// enter counts a page, if there may be another.
func (h *Hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count >= h.most {
		return false
	}
	h.count++
	h.open.Set(float64(h.count))
	return true
}

func (h *Hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count--
	h.open.Set(float64(h.count))
}

// Serve tells a page of changes in the topics that it names, as long as it listens, ctx lasts and its
// session stands, which stands says.
func (h *Hub) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, stands func(context.Context) bool) {
	wanted := r.URL.Query()["topic"]
	if len(wanted) == 0 || slices.ContainsFunc(wanted, func(t string) bool { return !slices.Contains(topics, t) }) {
		http.Error(w, fmt.Sprintf("name topics of %v, such as /live?topic=%s", topics, Pools), http.StatusBadRequest)
		return
	}
	if !h.enter() {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "as many pages are open as may be: reload this one to see what is new", http.StatusServiceUnavailable)
		return
	}
	defer h.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // of proxies that would hold messages back
	page := page{w, http.NewResponseController(w)}
	h.tell(ctx, page, r, wanted, stands)
}

// tell writes to a page until it has gone, ctx ends or its session does.
func (h *Hub) tell(ctx context.Context, page page, r *http.Request, wanted []string, stands func(context.Context) bool) {
	seen, changed := h.now()
	if page.say("retry: 3000\n: open\n\n") != nil {
		return
	}
	alive := h.clock.NewTicker(beat)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.Context().Done():
			return
		case <-alive.C():
			if !page.alive(stands(r.Context())) {
				return
			}
			continue
		case <-changed:
		}
		var versions map[string]uint64
		versions, changed = h.now()
		if !slices.ContainsFunc(wanted, func(t string) bool { return versions[t] != seen[t] }) {
			continue
		}
		seen = versions
		if page.say("event: changed\ndata: now\n\n") != nil || !h.rest(r.Context()) {
			return
		}
	}
}

// rest lets changes gather; false where the page has gone.
func (h *Hub) rest(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-h.clock.After(atLeast):
		return true
	}
}

// alive says that the connection stands, or that its session does not; false where it is over.
func (p page) alive(stands bool) bool {
	if !stands {
		_ = p.say("event: signedout\ndata: now\n\n")
		return false
	}
	return p.say(": alive\n\n") == nil
}

// page is one that listens.
type page struct {
	w       io.Writer
	control *http.ResponseController
}

// say writes and has it sent. The server's bounds on reading and writing are those of short requests, so
// they are lifted; not every writer can, and then they hold.
func (p page) say(message string) error {
	_ = p.control.SetReadDeadline(time.Time{})
	_ = p.control.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p.w, message); err != nil {
		return err
	}
	err := p.control.Flush()
	_ = p.control.SetWriteDeadline(time.Time{})
	return err
}
