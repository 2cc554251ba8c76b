package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
	"forewarm.dev/test/cluster"
)

// historyEnv is an API server that knows our types.
type historyEnv struct {
	*cluster.Cluster
	today time.Time
}

// TestHistory holds what DemandHistory objects promise, on the real API server.
func TestHistory(t *testing.T) {
	t.Parallel()
	e := historyEnv{cluster.ForTest(t, cluster.Options{}), time.Now().UTC().Truncate(24 * time.Hour)}
	if err := e.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}); err != nil {
		t.Fatal(err)
	}
	if err := e.ApplyFiles(t.Context(), manifestsOf(t, "crd/*.yaml", "rbac/reserver.yaml", "policy/*.yaml")...); err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		name string
		run  func(*testing.T, historyEnv, history.Key)
	}{
		{"a day is an object, and only today's is rewritten", historyDays},
		{"leaders in turn lose nothing", historyLeaders},
		{"writers at once lose nothing", historyConflicts},
		{"a leader that wakes up adds nothing twice", historyAsleep},
		{"older days go, and nothing else", historyRetention},
		{"what a newer version wrote stays", historyVersion},
		{"files come in and go out", historyFiles},
		{"a reserver forecasts from Prometheus", historyReserver},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, e, history.Key{Pool: fmt.Sprint("pool-", i), Chunk: "single"}) })
	}
}

// samples are minutes from a time on, the demand their number.
func (historyEnv) samples(from time.Time, n int) []history.Sample {
	var samples []history.Sample
	for i := range n {
		samples = append(samples, history.Sample{At: from.Add(time.Duration(i) * time.Minute), Demand: float64(i + 1)})
	}
	return samples
}

// objects are the stored objects of a series by day.
func (e historyEnv) objects(t *testing.T, key history.Key) map[string]v1alpha1.DemandHistory {
	t.Helper()
	var list v1alpha1.DemandHistoryList
	if err := e.Client.List(t.Context(), &list, client.MatchingLabels{v1alpha1.LabelPool: key.Pool, v1alpha1.LabelChunk: key.Chunk}); err != nil {
		t.Fatal(err)
	}
	objects := map[string]v1alpha1.DemandHistory{}
	for _, object := range list.Items {
		objects[object.Data.Day] = object
	}
	return objects
}

func (e historyEnv) wantSamples(t *testing.T, key history.Key, want []history.Sample) {
	t.Helper()
	got, err := history.NewStore(e.Client).Samples(t.Context(), key, e.today.AddDate(0, 0, -40))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func historyDays(t *testing.T, e historyEnv, key history.Key) {
	store := history.NewStore(e.Client)
	samples := e.samples(e.today.AddDate(0, 0, -2), 2*1440+10)
	if err := store.Import(t.Context(), key, samples); err != nil {
		t.Fatal(err)
	}
	before := e.objects(t, key)
	if len(before) != 3 {
		t.Fatalf("%d objects, want one of each day", len(before))
	}
	for i := range 20 {
		next := history.Sample{At: e.today.Add(time.Duration(10+i) * time.Minute), Demand: 5}
		if err := store.Append(t.Context(), key, next); err != nil {
			t.Fatal(err)
		}
		samples = append(samples, next)
	}
	today := e.today.Format(time.DateOnly)
	for day, object := range e.objects(t, key) {
		if written := object.ResourceVersion != before[day].ResourceVersion; written != (day == today) {
			t.Errorf("day %s written: %v", day, written)
		}
		size := 0
		for _, chunk := range object.Data.Encoded {
			size += len(chunk)
		}
		if plain := 16 * int(object.Data.Samples); 3*size > plain {
			t.Errorf("day %s takes %d bytes, want a third of %d at most", day, size, plain)
		}
	}
	e.wantSamples(t, key, samples)
}

func historyLeaders(t *testing.T, e historyEnv, key history.Key) {
	samples := e.samples(e.today, 30)
	leaders := []*history.Store{history.NewStore(e.Client), history.NewStore(e.Client), history.NewStore(e.Client)}
	for i, sample := range samples {
		// Each has written before, and so has an outdated copy: a conflict, a read, another try.
		if err := leaders[i%3].Append(t.Context(), key, sample); err != nil {
			t.Fatal(err)
		}
	}
	e.wantSamples(t, key, samples)
}

// historyConflicts imports different minutes of one day at once: an import adds, whoever is first.
func historyConflicts(t *testing.T, e historyEnv, key history.Key) {
	samples := e.samples(e.today, 30)
	var group errgroup.Group
	for writer := range 3 {
		group.Go(func() error {
			store := history.NewStore(e.Client)
			for i := writer; i < len(samples); i += 3 {
				// Each attempt of Import is bounded, so under three writers it may have to be asked again.
				err := cluster.Wait(t.Context(), 20*time.Second, func() error { return store.Import(t.Context(), key, samples[i:i+1]) })
				if err != nil {
					return fmt.Errorf("writer %d: %w", writer, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	e.wantSamples(t, key, samples)
}

func historyAsleep(t *testing.T, e historyEnv, key history.Key) {
	samples := e.samples(e.today, 6)
	asleep, successor := history.NewStore(e.Client), history.NewStore(e.Client)
	if err := asleep.Append(t.Context(), key, samples[:2]...); err != nil {
		t.Fatal(err)
	}
	if err := successor.Append(t.Context(), key, samples[2:]...); err != nil {
		t.Fatal(err)
	}
	stale := []history.Sample{{At: samples[3].At, Demand: 99}, {At: samples[4].At.Add(time.Second), Demand: 99}}
	if err := asleep.Append(t.Context(), key, stale...); err != nil {
		t.Fatal(err)
	}
	e.wantSamples(t, key, samples)
}

func historyRetention(t *testing.T, e historyEnv, key history.Key) {
	other, store := history.Key{Pool: "other", Chunk: "single"}, history.NewStore(e.Client)
	samples := e.samples(e.today.AddDate(0, 0, -30), 30*1440)
	for _, k := range []history.Key{key, other} {
		if err := store.Import(t.Context(), k, samples); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Prune(t.Context(), key, e.today.AddDate(0, 0, -28).Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	e.wantSamples(t, key, samples[2*1440:])
	e.wantSamples(t, other, samples)
}

func historyVersion(t *testing.T, e historyEnv, key history.Key) {
	store := history.NewStore(e.Client)
	if err := store.Append(t.Context(), key, e.samples(e.today, 3)...); err != nil {
		t.Fatal(err)
	}
	object := e.objects(t, key)[e.today.Format(time.DateOnly)]
	if object.Data.SchemaVersion = 0; !apierrors.IsInvalid(e.Client.Update(t.Context(), object.DeepCopy())) {
		t.Error("schema version 0 was accepted")
	}
	object.Data.SchemaVersion = 2
	if err := e.Client.Update(t.Context(), &object); err != nil {
		t.Fatal(err)
	}
	successor := history.NewStore(e.Client)
	if err := successor.Append(t.Context(), key, e.samples(e.today.Add(time.Hour), 1)...); !errors.Is(err, history.ErrUnreadable) || !strings.Contains(err.Error(), object.Name) {
		t.Errorf("append: error %v, want one that names %s", err, object.Name)
	}
	if _, err := successor.Load(t.Context(), key, e.today, time.Minute); !errors.Is(err, history.ErrUnreadable) {
		t.Errorf("load: error %v", err)
	}
	if err := successor.Prune(t.Context(), key, e.today.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if now := e.objects(t, key)[object.Data.Day]; now.ResourceVersion != object.ResourceVersion {
		t.Error("it was written or deleted by a version that cannot read it")
	}
}

// historyFiles has forewarmctl import a file, export it, and forecast from it.
func historyFiles(t *testing.T, e historyEnv, key history.Key) {
	ctx, folder := t.Context(), t.TempDir()
	binary := filepath.Join(cluster.Programs(t), "forewarmctl")
	ctl := func(arguments ...string) (string, error) {
		output, err := exec.CommandContext(ctx, binary, append(arguments, "--kubeconfig", e.Kubeconfig)...).CombinedOutput()
		return string(output), err
	}
	pool := loopPool(key.Pool, "", 0, 0)
	pool.Spec.Forecast = v1alpha1.ForecastSpec{Interval: metav1.Duration{Duration: 10 * time.Minute}, History: metav1.Duration{Duration: 28 * 24 * time.Hour}}
	if err := e.Client.Create(ctx, pool); err != nil {
		t.Fatal(err)
	}
	samples := e.samples(e.today.AddDate(0, 0, -35), 35*1440)
	file := filepath.Join(folder, "demand.csv")
	var text strings.Builder
	text.WriteString("timestamp,value\n")
	for _, s := range samples {
		fmt.Fprintf(&text, "%s,%v\n", s.At.Format(time.RFC3339), s.Demand)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is all there
		if said, err := ctl("history", "import", file, "--pool", key.Pool); err != nil || !strings.Contains(said, "older than 672h0m0s") {
			t.Fatalf("import: %v\n%s", err, said)
		}
	}
	for day, object := range e.objects(t, key) {
		if owners := object.OwnerReferences; len(owners) != 1 || owners[0].UID != pool.UID {
			t.Errorf("day %s has owners %v, want the WarmPool, so that it goes with it", day, owners)
		}
	}
	out := filepath.Join(folder, "out.csv.gz")
	if said, err := ctl("history", "export", "--pool", key.Pool, "--out", out); err != nil {
		t.Fatalf("export: %v\n%s", err, said)
	}
	for _, arguments := range [][]string{
		{"forecast", out, "--horizon", "1h"}, {"forecast", "--pool", key.Pool, "--horizon", "1h"}, {"backtest", "--pool", key.Pool, "--out", filepath.Join(folder, "rows.csv")},
	} {
		if said, err := ctl(arguments...); err != nil || !strings.Contains(said, key.Pool) && !strings.Contains(said, "out:") {
			t.Errorf("%v: %v\n%s", arguments, err, said)
		}
	}
	server := cluster.PrometheusForTest(t)
	promWrite(t, server, map[string][]history.Sample{key.Pool: e.samples(e.today.AddDate(0, 0, -1), 1440)})
	if said, err := ctl("forecast", "--pool", key.Pool, "--prometheus", server.URL); err != nil || !strings.Contains(said, key.Pool+"/single: 144 values every 10m0s") {
		t.Errorf("from Prometheus: %v\n%s", err, said)
	}
	for want, arguments := range map[string][]string{
		`no WarmPool "none"`: {"history", "import", file, "--pool", "none"}, `no chunk "double"`: {"history", "export", "--pool", key.Pool, "--chunk", "double"},
	} {
		if said, err := ctl(arguments...); err == nil || !strings.Contains(said, want) {
			t.Errorf("%v: %v\n%s", arguments, err, said)
		}
	}
}

// historyReserver runs the reserver with its history in a Prometheus that scrapes it, and no right but its own.
func historyReserver(t *testing.T, e historyEnv, key history.Key) {
	ctx, health, metrics := t.Context(), loopAddress(t), loopAddress(t)
	server := cluster.PrometheusForTest(t, metrics)
	const step = 10 * time.Second
	var samples []history.Sample
	for at := time.Now().Add(-time.Hour).Truncate(step); at.Before(time.Now()); at = at.Add(step) {
		samples = append(samples, history.Sample{At: at, Demand: 40})
	}
	promWrite(t, server, map[string][]history.Sample{key.Pool: samples})
	pool := loopPool(key.Pool, "", 0, 0)
	pool.Spec.Forecast = v1alpha1.ForecastSpec{Interval: metav1.Duration{Duration: step}, History: metav1.Duration{Duration: time.Hour}}
	if err := e.Client.Create(ctx, pool); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "config.yaml")
	text := fmt.Sprintf("apiVersion: config.forewarm.dev/v1alpha1\nkind: Config\nreserver: {healthAddress: %q, metricsAddress: %q, history: {source: Prometheus, prometheus: {url: %q}}}\n", health, metrics, server.URL)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := e.KubeconfigForServiceAccount(ctx, v1alpha1.SystemNamespace, "forewarm-reserver")
	if err != nil {
		t.Fatal(err)
	}
	process, err := e.StartProcess(context.WithoutCancel(ctx), "reserver", filepath.Join(cluster.Programs(t), "reserver"), []string{"--config", settings, "--kubeconfig", kubeconfig}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(process.Kill)
	cluster.Eventually(t, time.Minute, func() error {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pool), pool); err != nil {
			return err
		}
		if len(pool.Status.Chunks) == 0 || pool.Status.Chunks[0].Forecast == nil {
			return fmt.Errorf("no forecast yet; the reserver's log:\n%s", process.Log())
		}
		switch reason := forecast.Reason(pool.Status.Chunks[0].Forecast.Reason); reason {
		case forecast.ReasonNoHistory, forecast.ReasonShortHistory:
			t.Fatalf("the forecast has reason %s, although an hour was recorded; the reserver's log:\n%s", reason, process.Log())
		}
		return nil
	})
	if objects := e.objects(t, key); len(objects) > 0 {
		t.Errorf("%d DemandHistory objects were written", len(objects))
	}
	// No pod is there, so what is scraped is zero: the server records what the reserver sees.
	store := promStore(t, server, `max(forewarm_capacity_demand_chunks{pool="$pool",chunk="$chunk",job="forewarm"})`)
	cluster.Eventually(t, time.Minute, func() error {
		series, err := store.Load(ctx, key, time.Now().Add(-time.Minute), time.Second)
		if err == nil && series.Values[len(series.Values)-1] != 0 {
			err = fmt.Errorf("scraped %v, want 0", series.Values)
		}
		return err
	})
}
