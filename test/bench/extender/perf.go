package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"forewarm.dev/test/cluster/assets"
)

// figures are those of one arm, one element per round.
type figures struct{ perSecond, p50, p99, cpu, calls, bytes []float64 }

// bench runs scheduler_perf.
type bench struct {
	settings
	say    func(string, ...any)
	root   string // of the checkout
	work   string
	path   string // PATH, with etcd
	goRoot string // the module cache
}

func prepare(chosen settings, say func(string, ...any)) (*bench, error) {
	store, err := assets.Open()
	if err != nil {
		return nil, err
	}
	programs, err := store.Find(assets.Etcd)
	if err != nil {
		return nil, err
	}
	for _, program := range []string{chosen.perf, chosen.extender, chosen.stub} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("find what is run: %w; run: make bench-extender, which builds it", err)
		}
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module cache: %w", err)
	}
	b := &bench{settings: chosen, say: say, root: store.Root, goRoot: strings.TrimSpace(string(cache))}
	if b.work, err = os.MkdirTemp("", "forewarm-bench-extender-"); err != nil {
		return nil, err
	}
	b.path = b.work + string(os.PathListSeparator) + os.Getenv("PATH")
	return b, os.Symlink(programs[assets.Etcd], filepath.Join(b.work, "etcd"))
}

func (b *bench) clean() { _ = os.RemoveAll(b.work) }

// measure runs all arms in every round, as often as was asked for or as time allows.
func (b *bench) measure(ctx context.Context, started time.Time) (map[int]map[string]*figures, error) {
	all := map[int]map[string]*figures{}
	for _, n := range b.nodes {
		all[n] = map[string]*figures{}
		for _, a := range arms {
			all[n][a.name] = &figures{}
		}
	}
	dice := rand.New(rand.NewPCG(7, 8))
	for round := range b.pairs {
		if time.Since(started) > b.limit {
			b.say("time is over after %d of %d rounds", round, b.pairs)
			break
		}
		for _, n := range b.nodes {
			for _, i := range dice.Perm(len(arms)) {
				if err := b.tried(ctx, arms[i], n, all[n][arms[i].name]); err != nil {
					return nil, fmt.Errorf("round %d, %d nodes, arm %s: %w", round+1, n, arms[i].name, err)
				}
				f := all[n][arms[i].name]
				b.say("round %d, %d nodes, %s: %.0f pods/s, %.0f calls", round+1, n, arms[i].name, last(f.perSecond), last(f.calls))
			}
		}
	}
	return all, nil
}

func last(values []float64) float64 { return values[len(values)-1] }

// tried runs one, again where a port that was free has been taken meanwhile: connections of the API
// server take such, of which a run makes hundreds.
func (b *bench) tried(ctx context.Context, a arm, nodes int, f *figures) error {
	err := b.one(ctx, a, nodes, f)
	for range 3 {
		if err == nil || !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) {
			break
		}
		b.say("%d nodes, %s: a port was taken, once more", nodes, a.name)
		err = b.one(ctx, a, nodes, f)
	}
	return err
}

// one runs scheduler_perf once and adds what it measured.
func (b *bench) one(ctx context.Context, a arm, nodes int, f *figures) error {
	folder, err := os.MkdirTemp(b.work, "run-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	at, err := freeAddresses()
	if err != nil {
		return err
	}
	if a.stub {
		at.metrics, at.health = at.calls, at.calls
	}
	if err := a.write(folder, at, nodes, b.pods); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, b.perf, "-test.run=^$", "-test.bench=BenchmarkPerfScheduling", "-test.benchtime=1ns", "-data-items-dir="+folder, "-v=0")
	command.Env = append(os.Environ(), b.environment(a, folder, at)...)
	command.Dir = folder
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	var log bytes.Buffer
	command.Stdout, command.Stderr = &log, &log
	if err := command.Run(); err != nil {
		return fmt.Errorf("scheduler_perf: %w\n%s", err, tail(log.String()))
	}
	if err := f.read(folder, b.pods); err != nil {
		return fmt.Errorf("%w\n%s", err, tail(log.String()))
	}
	return nil
}

func (b *bench) environment(a arm, folder string, at addresses) []string {
	env := []string{
		"PATH=" + b.path, "TMPDIR=" + folder,
		// An etcd of somebody else on its usual port is not ours to use.
		"KUBE_INTEGRATION_ETCD_URL=http://127.0.0.1:1",
		// Built with -trimpath, Kubernetes finds its own files by these only.
		"TEST_SRCDIR=" + filepath.Dir(b.goRoot), "TEST_WORKSPACE=" + filepath.Base(b.goRoot),
		"PERF_CONFIG=" + filepath.Join(folder, "perf.yaml"),
		"PERF_RESULT=" + filepath.Join(folder, "result"),
	}
	if a.extender == nil {
		return env
	}
	env = append(env,
		"PERF_EXTENDER="+strings.Join(a.extender(b.settings, at.calls, folder), " "),
		"PERF_KUBECONFIG="+filepath.Join(folder, "kubeconfig"),
		"PERF_CRD="+filepath.Join(b.root, "manifests", "crd", "forewarm.dev_warmpools.yaml"),
		"PERF_STATS=http://"+at.metrics+"/metrics", "PERF_READY=http://"+at.health+"/readyz",
	)
	return env
}

// tail are the last lines of a log.
func tail(log string) string { return log[max(len(log)-4000, 0):] }

// addresses are where an extender serves calls, metrics and readiness: the stub all in one.
type addresses struct{ calls, metrics, health string }

func freeAddresses() (at addresses, err error) {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
	}()
	for _, address := range []*string{&at.calls, &at.metrics, &at.health} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return at, err
		}
		listeners = append(listeners, l)
		*address = l.Addr().String()
	}
	return at, nil
}

// read takes in what one run has measured.
func (f *figures) read(folder string, pods int) error {
	own, err := os.ReadFile(filepath.Join(folder, "result"))
	if err != nil {
		return fmt.Errorf("read the result of a run: %w", err)
	}
	var r struct {
		PodsPerSecond float64 `json:"podsPerSecond"`
		CPUSeconds    float64 `json:"cpuSeconds"`
		Stats         string  `json:"stats"`
	}
	if err := json.Unmarshal(own, &r); err != nil {
		return fmt.Errorf("read the result of a run: %w", err)
	}
	items, err := dataItems(folder)
	if err != nil {
		return err
	}
	if r.PodsPerSecond <= 0 {
		return errors.New("scheduler_perf bound no pods")
	}
	f.perSecond = append(f.perSecond, r.PodsPerSecond)
	f.p50 = append(f.p50, items["scheduler_scheduling_attempt_duration_seconds"]["Perc50"])
	f.p99 = append(f.p99, items["scheduler_scheduling_attempt_duration_seconds"]["Perc99"])
	f.cpu = append(f.cpu, r.CPUSeconds/float64(pods)*1000)
	f.calls = append(f.calls, metric(r.Stats, "forewarm_extender_requests_total"))
	f.bytes = append(f.bytes, metric(r.Stats, "bench_extender_bytes_total"))
	return nil
}

// notApplicable is what scheduler_perf writes for labels that others of its figures have.
const notApplicable = "not applicable"

// dataItems are scheduler_perf's own figures by name; of several with the same name that of
// scheduled pods counts.
func dataItems(folder string) (map[string]map[string]float64, error) {
	files, err := filepath.Glob(filepath.Join(folder, "BenchmarkPerfScheduling_*.json"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("%d files of data items, want one (%w)", len(files), err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	var read struct {
		DataItems []struct {
			Data   map[string]float64 `json:"data"`
			Labels map[string]string  `json:"labels"`
		} `json:"dataItems"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, fmt.Errorf("read data items: %w", err)
	}
	items := map[string]map[string]float64{}
	for _, item := range read.DataItems {
		name := item.Labels["Metric"]
		if result, has := item.Labels["result"]; has && result != "scheduled" && result != notApplicable {
			continue
		}
		items[name] = item.Data
	}
	return items, nil
}

// metric sums the samples of a metric over its labels.
func metric(text, name string) float64 {
	sum := 0.0
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(rest)
		if value, err := strconv.ParseFloat(fields[len(fields)-1], 64); err == nil {
			sum += value
		}
	}
	return sum
}
