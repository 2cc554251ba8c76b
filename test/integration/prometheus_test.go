package integration

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protowire"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/config"
	"forewarm.dev/test/cluster"
)

// promMetric is the metric that the default query reads.
const promMetric = "forewarm_capacity_demand_chunks"

// promStore reads from a server by the default query, or another.
func promStore(t *testing.T, p *cluster.Prometheus, query string) *history.Prometheus {
	t.Helper()
	defaults := config.Default().Reserver.History.Prometheus
	if query == "" {
		query = defaults.Query
	}
	store, err := history.NewPrometheus(history.PrometheusOptions{
		URL: p.URL, Query: query, MaxInFlight: defaults.MaxInFlight, Timeout: defaults.Timeout.Duration, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestHistoryFromPrometheus(t *testing.T) {
	server := cluster.PrometheusForTest(t)
	key := history.Key{Pool: "a100", Chunk: "single"}
	// Nine days of minutes, more than one query answers, with a gap of ten minutes.
	end := time.Now().Truncate(time.Minute)
	since := end.Add(-9 * 24 * time.Hour)
	want := make([]float64, 9*1440)
	var samples []history.Sample
	for i := range want {
		want[i] = float64(i*i%97) / 2
		at := since.Add(time.Duration(i)*time.Minute + 30*time.Second)
		if i >= 5000 && i < 5010 {
			want[i] = math.NaN()
			continue
		}
		samples = append(samples, history.Sample{At: at, Demand: want[i]})
	}
	promWrite(t, server, map[string][]history.Sample{"a100": samples})

	t.Run("is what was scraped", func(t *testing.T) {
		series, err := promStore(t, server, "").Load(t.Context(), key, since, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, series.Values, cmpopts.EquateNaNs()); diff != "" || !series.Start.Equal(since) {
			t.Errorf("series from %v, want from %v:\n%s", series.Start, since, diff)
		}
	})
	t.Run("keeps the peak of a longer step", func(t *testing.T) {
		from := since.Truncate(time.Hour).Add(time.Hour)
		series, err := promStore(t, server, "").Load(t.Context(), key, from, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		first := int(from.Sub(since) / time.Minute)
		peak := 0.0
		for _, value := range want[first : first+60] {
			peak = max(peak, value)
		}
		if len(series.Values) < 9*24-1 || series.Values[0] != peak {
			t.Errorf("%d values, the first %v, want %v", len(series.Values), series.Values[0], peak)
		}
	})
	t.Run("reaches the forecast", func(t *testing.T) {
		f := forecaster.New(forecaster.Options{Store: promStore(t, server, ""), Model: forecast.Combined{}, Registerer: prometheus.NewRegistry()})
		pool := forecaster.Pool{Name: "a100", Interval: time.Minute, History: 8 * 24 * time.Hour, Seasons: []time.Duration{24 * time.Hour}}
		if err := f.Observe(t.Context(), pool, "single", time.Now(), 7); err != nil {
			t.Fatal(err)
		}
		answer, err := f.Forecast(t.Context(), pool, "single", []time.Duration{time.Minute}, time.Now())
		if err != nil || answer.Reason != forecast.ReasonEnoughHistory {
			t.Errorf("reason %s, error %v", answer.Reason, err)
		}
	})
	t.Run("says what is wrong", func(t *testing.T) {
		for name, test := range map[string]struct {
			query, want string
			incomplete  bool
		}{
			"no PromQL":   {`max(demand{pool="$pool",chunk="$chunk"`, "parse error", false},
			"two series":  {promMetric + `{chunk="$chunk"} or label_replace(` + promMetric + `,"pool","b","","")`, "returns 2 series", false},
			"no series":   {`demand{pool="$pool",chunk="$chunk"}`, "returns nothing for the query demand{pool=\"a100\",chunk=\"single\"}", true},
			"not a range": {`"$pool$chunk"`, "invalid expression type", false},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := promStore(t, server, test.query).Load(t.Context(), key, since, time.Minute)
				if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, history.ErrUnreadable) != test.incomplete {
					t.Errorf("error %v, want one with %q", err, test.want)
				}
			})
		}
	})
	t.Run("survives the server", func(t *testing.T) {
		server.Kill()
		store, began := promStore(t, server, ""), time.Now()
		for range 20 {
			if _, err := store.Load(t.Context(), key, since, time.Minute); err == nil || errors.Is(err, history.ErrUnreadable) || !strings.Contains(err.Error(), "connection refused") {
				t.Fatalf("error %v, want that nobody answers", err)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("20 series were told after %v", took)
		}
	})
}

// TestPrometheusScrapesWhatTheQueryReads: a metric of the name and labels that the reserver
// exports, scraped by the real server, is what the default query finds.
func TestPrometheusScrapesWhatTheQueryReads(t *testing.T) {
	registry := prometheus.NewRegistry()
	demand := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: promMetric, Help: "Demand."}, []string{"pool", "chunk"})
	registry.MustRegister(demand)
	demand.WithLabelValues("a100", "single").Set(12)
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	target := &http.Server{Addr: address, Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	go func() { _ = target.ListenAndServe() }()
	t.Cleanup(func() { _ = target.Close() })
	store := promStore(t, cluster.PrometheusForTest(t, address), "")
	cluster.Eventually(t, 30*time.Second, func() error {
		series, err := store.Load(t.Context(), history.Key{Pool: "a100", Chunk: "single"}, time.Now().Add(-time.Minute), time.Second)
		if err == nil && series.Values[len(series.Values)-1] != 12 {
			err = fmt.Errorf("values %v, want the last to be 12", series.Values)
		}
		return err
	})
}

// TestAThousandSeriesFromPrometheus measures what is promised: 28 days of 1,000 series at
// five minutes in under 60 s within 1 GiB.
func TestAThousandSeriesFromPrometheus(t *testing.T) {
	if os.Getenv("FOREWARM_LONG") == "" {
		t.Skip("skipped: it takes minutes; set FOREWARM_LONG=1")
	}
	const many, perDay, days = 1000, 288, 28
	server := cluster.PrometheusForTest(t)
	end := time.Now().Truncate(5 * time.Minute)
	since := end.Add(-days * 24 * time.Hour)
	began := time.Now()
	// In the order of time, as the database wants it: half an hour of every series at a time.
	for first := 0; first < days*perDay; first += 6 {
		batch := map[string][]history.Sample{}
		for n := range many {
			var samples []history.Sample
			for i := first; i < first+6; i++ {
				level := 20 + 10*math.Sin(float64(i%perDay)*2*math.Pi/perDay) + float64((i*(n+7))%11)
				samples = append(samples, history.Sample{At: since.Add(time.Duration(i)*5*time.Minute + time.Minute), Demand: math.Round(level)})
			}
			batch["pool-"+strconv.Itoa(n)] = samples
		}
		promWrite(t, server, batch)
	}
	t.Logf("wrote %d samples in %s", many*perDay*days, time.Since(began).Round(time.Second))
	runtime.GC()
	resetPeak(t, os.Getpid())
	resetPeak(t, server.PID())
	store := promStore(t, server, "")
	began = time.Now()
	var group errgroup.Group
	group.SetLimit(8)
	kept := make([]forecast.Series, many)
	for n := range many {
		group.Go(func() error {
			series, err := store.Load(t.Context(), history.Key{Pool: "pool-" + strconv.Itoa(n), Chunk: "single"}, since, 5*time.Minute)
			if err == nil && len(series.Values) != days*perDay {
				err = fmt.Errorf("series %d has %d values, want %d", n, len(series.Values), days*perDay)
			}
			kept[n] = series
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	took, mine, its := time.Since(began), peak(t, os.Getpid()), peak(t, server.PID())
	t.Logf("read %d series of %d values in %.1f s; highest memory of the reader %d MiB, of Prometheus %d MiB", len(kept), days*perDay, took.Seconds(), mine>>20, its>>20)
	if took > time.Minute || mine > 1<<30 {
		t.Errorf("took %s and %d MiB, want under 60 s and within 1024 MiB", took, mine>>20)
	}
}

// resetPeak makes the kernel forget the highest memory of a process.
func resetPeak(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200); err != nil {
		t.Skipf("no peak of memory to measure here: %v", err)
	}
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the highest resident memory of a process in bytes.
func peak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	words := peakLine.FindSubmatch(status)
	if words == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kilobytes, err := strconv.Atoi(string(words[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// promWrite sends samples of chunk single, by pool, in Prometheus' remote write protocol 1.0.
func promWrite(t *testing.T, server *cluster.Prometheus, pools map[string][]history.Sample) {
	t.Helper()
	var request []byte
	for pool, samples := range pools {
		var series []byte
		for _, label := range [][2]string{{"__name__", promMetric}, {"chunk", "single"}, {"pool", pool}} {
			var pair []byte
			pair = protowire.AppendString(protowire.AppendTag(pair, 1, protowire.BytesType), label[0])
			pair = protowire.AppendString(protowire.AppendTag(pair, 2, protowire.BytesType), label[1])
			series = protowire.AppendBytes(protowire.AppendTag(series, 1, protowire.BytesType), pair)
		}
		for _, sample := range samples {
			var point []byte
			point = protowire.AppendFixed64(protowire.AppendTag(point, 1, protowire.Fixed64Type), math.Float64bits(sample.Demand))
			point = protowire.AppendVarint(protowire.AppendTag(point, 2, protowire.VarintType), uint64(sample.At.UnixMilli()))
			series = protowire.AppendBytes(protowire.AppendTag(series, 2, protowire.BytesType), point)
		}
		request = protowire.AppendBytes(protowire.AppendTag(request, 1, protowire.BytesType), series)
	}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/write", bytes.NewReader(snappyOf(request)))
	if err != nil {
		t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/x-protobuf")
	post.Header.Set("Content-Encoding", "snappy")
	post.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		var says bytes.Buffer
		_, _ = says.ReadFrom(answer.Body)
		t.Fatalf("remote write: %s: %s", answer.Status, says.String())
	}
}

// snappyOf is data in snappy's block format without compression: literals of up to 64 KiB.
func snappyOf(data []byte) []byte {
	const twoBytesOfLength = 61 << 2
	block := binary.AppendUvarint(nil, uint64(len(data)))
	for len(data) > 0 {
		n := min(len(data), 1<<16)
		block = binary.LittleEndian.AppendUint16(append(block, twoBytesOfLength), uint16(n-1))
		block, data = append(block, data[:n]...), data[n:]
	}
	return block
}
