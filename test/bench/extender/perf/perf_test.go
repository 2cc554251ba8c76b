// Package perf runs one arm of bench-extender: scheduler_perf of Kubernetes, as a library, with
// an extender of the caller's choice beside it. It is a module of its own since it needs all of
// Kubernetes, and a test binary since scheduler_perf wants a testing.B. test/bench/extender
// builds and runs it; the environment says what to do.
package perf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	benchmark "k8s.io/kubernetes/test/integration/scheduler_perf"
	"k8s.io/kubernetes/test/utils/client-go/ktesting"
	"sigs.k8s.io/yaml"
)

// What the environment says.
const (
	// configVariable is the path of scheduler_perf's test cases.
	configVariable = "PERF_CONFIG"
	// crdVariable is the path of a CRD that the extender watches; empty means none.
	crdVariable = "PERF_CRD"
	// kubeconfigVariable is where the kubeconfig is written before the extender is started.
	kubeconfigVariable = "PERF_KUBECONFIG"
	// extenderVariable is the command line of the extender; empty means none.
	extenderVariable = "PERF_EXTENDER"
	// readyVariable is the URL that answers 200 once the extender is ready.
	readyVariable = "PERF_READY"
	// statsVariable is the URL of the extender's metrics.
	statsVariable = "PERF_STATS"
	// resultVariable is where Result is written as JSON.
	resultVariable = "PERF_RESULT"
)

// Result is what scheduler_perf does not measure.
type Result struct {
	// PodsPerSecond is how fast the scheduler bound pods, from the first that it did to the last. That of
	// scheduler_perf is the mean of whole seconds, the last of which is cut: of a run of ten seconds it
	// tells no less than a tenth.
	PodsPerSecond float64 `json:"podsPerSecond"`
	// CPUSeconds of this process (API server, scheduler), etcd and the extender, from the last
	// node's creation to the last pod's binding.
	CPUSeconds float64 `json:"cpuSeconds"`
	// Stats is what the extender says at its metrics in the end.
	Stats string `json:"stats"`
}

func TestMain(m *testing.M) {
	if err := benchmark.InitTests(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	m.Run()
}

func BenchmarkPerfScheduling(b *testing.B) {
	started, bound := 0.0, &pace{}
	benchmark.RunBenchmarkPerfScheduling(b, os.Getenv(configVariable), "extender", nil,
		benchmark.WithPrepareFn(prepare),
		benchmark.WithNodeUpdateFn(func(tCtx ktesting.TContext, _ *scheduler.Scheduler, _ *benchmark.Workload, _ *v1.NodeList) error {
			var err error
			started, err = cpuSeconds()
			go bound.follow(tCtx)
			// Cleanups run in reverse order: this one before the API server and the extender end.
			tCtx.Cleanup(func() {
				ended, err := cpuSeconds()
				stats := ""
				if err == nil && os.Getenv(extenderVariable) != "" {
					stats, err = get(os.Getenv(statsVariable))
				}
				if err == nil {
					err = write(Result{PodsPerSecond: bound.perSecond(), CPUSeconds: ended - started, Stats: stats})
				}
				if err != nil {
					tCtx.Errorf("measure: %v", err)
				}
			})
			return err
		}))
}

// pace is when the scheduler has bound how many pods.
type pace struct {
	mu          sync.Mutex
	first, last time.Time
	had, has    uint64
}

// follow looks a hundred times a second, in the scheduler's own count, until ctx ends.
func (p *pace) follow(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if count, err := testutil.GetHistogramMetricCount(metrics.PodSchedulingAttempts.ObserverMetric); err == nil {
				p.note(now, count)
			}
		}
	}
}

func (p *pace) note(now time.Time, count uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case count <= p.has:
		return
	case p.has == 0:
		p.first, p.had = now, count
	}
	p.last, p.has = now, count
}

func (p *pace) perSecond() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.has == p.had {
		return 0
	}
	return float64(p.has-p.had) / p.last.Sub(p.first).Seconds()
}

func write(r Result) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(os.Getenv(resultVariable), data, 0o600)
}

// prepare starts the extender once the API server is there.
func prepare(tCtx ktesting.TContext) error {
	command := strings.Fields(os.Getenv(extenderVariable))
	if len(command) == 0 {
		return nil
	}
	if err := createCRD(tCtx, os.Getenv(crdVariable)); err != nil {
		return err
	}
	if err := writeKubeconfig(tCtx.RESTConfig(), os.Getenv(kubeconfigVariable)); err != nil {
		return err
	}
	process := exec.Command(command[0], command[1:]...)
	var log bytes.Buffer
	process.Stdout, process.Stderr = &log, &log
	if err := process.Start(); err != nil {
		return err
	}
	tCtx.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	return await(30*time.Second, func() error {
		if _, err := get(os.Getenv(readyVariable)); err != nil {
			return fmt.Errorf("%w; the extender's log:\n%s", err, log.String())
		}
		return nil
	})
}

// get reads a page.
func get(url string) (string, error) {
	defer http.DefaultClient.CloseIdleConnections()
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", url, response.Status)
	}
	return string(body), nil
}

func await(limit time.Duration, condition func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		if err := condition(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func createCRD(tCtx ktesting.TContext, path string) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	client, err := clientset.NewForConfig(tCtx.RESTConfig())
	if err != nil {
		return err
	}
	crds := client.ApiextensionsV1().CustomResourceDefinitions()
	if _, err := crds.Create(tCtx, &crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return await(30*time.Second, func() error {
		now, err := crds.Get(tCtx, crd.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range now.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("CRD %s is not established yet", crd.Name)
	})
}

func writeKubeconfig(config *rest.Config, path string) error {
	authority := config.CAData
	if len(authority) == 0 && config.CAFile != "" {
		var err error
		if authority, err = os.ReadFile(config.CAFile); err != nil {
			return err
		}
	}
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"perf": {
			Server: config.Host, CertificateAuthorityData: authority, TLSServerName: config.ServerName, InsecureSkipTLSVerify: config.Insecure,
		}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"perf": {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"perf": {Cluster: "perf", AuthInfo: "perf"}},
		CurrentContext: "perf",
	}, path)
}

// cpuSeconds is what this process and its children have used, by /proc.
func cpuSeconds() (float64, error) {
	const ticksPerSecond = 100 // USER_HZ, which Linux shows to programs on every platform
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	me, sum := strconv.Itoa(os.Getpid()), 0.0
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// After the name in parentheses come state, ppid, and as 12th and 13th utime and stime.
		_, after, found := strings.Cut(string(data), ") ")
		fields := strings.Fields(after)
		if !found || len(fields) < 13 || fields[1] != me && filepath.Base(filepath.Dir(path)) != me {
			continue
		}
		user, err1 := strconv.ParseFloat(fields[11], 64)
		system, err2 := strconv.ParseFloat(fields[12], 64)
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		sum += (user + system) / ticksPerSecond
	}
	return sum, nil
}
