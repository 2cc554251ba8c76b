package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

// service plays a Service: its balancer leads new connections to those replicas that say
// that they are ready, and leaves those that there are alone.
type service struct {
	e        *totalsEnv
	settings string
	replicas []*webhookReplica
	leaving  []*webhookReplica
	started  int
}

// webhookReplica is one of a service.
type webhookReplica struct {
	*webhookProcess
	port int
}

func newService(t *testing.T, e *totalsEnv, settings string, replicas int) *service {
	t.Helper()
	s := &service{e: e, settings: settings}
	for range replicas {
		s.replicas = append(s.replicas, s.start(t))
	}
	for _, r := range s.replicas {
		s.await(t, r)
	}
	return s
}

// start runs a replica and has its readiness decide whether it gets connections.
func (s *service) start(t *testing.T) *webhookReplica {
	t.Helper()
	s.started++
	port := webhookPort(t)
	r := &webhookReplica{s.e.run(t, fmt.Sprintf("webhook-%d", s.started), port, s.settings), port}
	go s.e.balancer.Follow(port, 200*time.Millisecond, func() bool { return r.ready() == http.StatusOK }, r.Done())
	return r
}

// await waits until a replica gets connections.
func (s *service) await(t *testing.T, r *webhookReplica) {
	t.Helper()
	s.e.await(t, r.webhookProcess)
	cluster.Eventually(t, webhookWait, func() error {
		if !s.e.balancer.Has(r.port) {
			return fmt.Errorf("%s gets no connections yet", r.Name)
		}
		return nil
	})
}

// servedUnder waits until every replica serves a leaf of that CA.
func (s *service) servedUnder(t *testing.T, ca []byte) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	cluster.Eventually(t, webhookWait, func() error {
		for _, r := range s.replicas {
			connection, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &tls.Config{RootCAs: roots, ServerName: "0.0.0.0"})
			if err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
			_ = connection.Close()
		}
		return nil
	})
}

// load writes at a steady rate, and counts.
type load struct {
	e      *totalsEnv
	cancel context.CancelFunc
	done   chan struct{}
	since  time.Time
	rate   int
	before map[string]float64
	taken  int64

	writes, failed atomic.Int64
	slowest        atomic.Int64
	mu             sync.Mutex
	errors         []string
}

// leastShare is the share of the promised writes below which it is no load. An API server that shares two cores with
// other tests may not answer the half of them, and how fast it is is no matter of a test; the log says it.
const leastShare = 0.1

// atOnce is how many writes wait for their answers at most: each asks two entries, and the API
// server keeps 25 connections to a webhook, beyond which every review costs a handshake. An API
// server that has enough CPU answers 200 writes a second with two or three under way; one that has
// not is asked less often, as by clients that wait, instead of being buried.
const atOnce = 12

// startLoad writes rate times a second on average, or less where atOnce writes are under way all the time: what is
// late is made up for. Each write is a dry run that grows within its ceiling and its total, so that the API server asks
// the entry that fails open and the one that does not.
func startLoad(t *testing.T, e *totalsEnv, rate int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{e: e, cancel: cancel, done: make(chan struct{}), rate: rate, before: reviews(t, e), taken: e.balancer.Taken(), since: time.Now()}
	dry := client.NewDryRunClient(e.Client)
	go func() {
		defer close(l.done)
		var writers sync.WaitGroup
		defer writers.Wait()
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		slots := make(chan struct{}, atOnce)
		for sent := int64(0); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for ; sent < l.due() && ctx.Err() == nil; sent++ {
				slots <- struct{}{}
				writers.Go(func() {
					defer func() { <-slots }()
					l.write(context.WithoutCancel(ctx), dry)
				})
			}
		}
	}()
	return l
}

// due is how many writes are promised by now.
func (l *load) due() int64 { return int64(time.Since(l.since).Seconds() * float64(l.rate)) }

func (l *load) write(ctx context.Context, dry client.Client) {
	o := webhookWorkload("Deployment", "load", fmt.Sprintf("web-%d", l.writes.Add(1)), 3, "5")
	started := time.Now()
	err := dry.Create(ctx, o)
	took := time.Since(started)
	for slowest := l.slowest.Load(); int64(took) > slowest && !l.slowest.CompareAndSwap(slowest, int64(took)); slowest = l.slowest.Load() {
	}
	if err == nil {
		return
	}
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) < 20 {
		l.errors = append(l.errors, fmt.Sprintf("%s after %s: %v", started.Sub(l.since).Round(time.Millisecond), took.Round(time.Millisecond), err))
	}
}

// stop ends the load and fails the test where a write failed or was not reviewed, or where much less was written than
// was promised.
func (l *load) stop(t *testing.T) {
	t.Helper()
	due := l.due()
	l.cancel()
	<-l.done
	after := reviews(t, l.e)
	writes, failed := l.writes.Load(), l.failed.Load()
	open, answered := after["open"]-l.before["open"], after["200"]-l.before["200"]
	took := time.Since(l.since)
	t.Logf("%d writes in %s (%.0f/s): %d failed, %.0f reviews answered, %.0f failed open, slowest write %s, %d connections",
		writes, took.Round(time.Second), float64(writes)/took.Seconds(), failed, answered, open, time.Duration(l.slowest.Load()).Round(time.Millisecond), l.e.balancer.Taken()-l.taken)
	if failed > 0 || open > 0 {
		t.Errorf("%d writes failed, %.0f reviews failed open:\n%s", failed, open, strings.Join(l.errors, "\n"))
	}
	if float64(writes) < leastShare*float64(due) {
		t.Errorf("%d writes, want at least %.0f %% of the %d that %d a second come to", writes, 100*leastShare, due, l.rate)
	}
	if answered < float64(2*writes) {
		t.Errorf("%.0f reviews of %d writes", answered, writes)
	}
}

// reviews reads what the API server counts: reviews by their HTTP status, and those that failed open.
func reviews(t *testing.T, e *totalsEnv) map[string]float64 {
	t.Helper()
	families := metricsOf(t, e.HTTPClient(), e.EndpointOf(assets.APIServer).Metrics)
	counts := map[string]float64{}
	for _, m := range families["apiserver_admission_webhook_fail_open_count"].GetMetric() {
		counts["open"] += m.GetCounter().GetValue()
	}
	for _, m := range families["apiserver_admission_webhook_request_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "code" {
				counts[l.GetValue()] += m.GetCounter().GetValue()
			}
		}
	}
	return counts
}
