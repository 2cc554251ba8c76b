package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	counted "forewarm.dev/extender/metrics"
)

const (
	portNodes = 5000 // in the cluster
	portNames = 500  // in a call
)

// port is what the bare port takes of one call, filter and prioritize in turn.
type port struct {
	calls    int
	p50, p99 time.Duration
	// undisturbed is p99 of those calls in which no garbage collection ended; in collected others
	// one did.
	undisturbed time.Duration
	collected   int
	// idle50 and idle99 are those of a handler that reads and writes as much and thinks nothing.
	idle50, idle99 time.Duration
	garbage        int64 // bytes
	request        int   // bytes
	load           string
}

func (p port) String() string {
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return fmt.Sprintf("bare port: %d calls of filter and prioritize in turn, %d names of %d nodes, %d bytes: p50 %.3f ms, p99 %.3f ms (target: < 1 ms), %d bytes of garbage a call (target: < %d)\n",
		p.calls, portNames, portNodes, p.request, ms(p.p50), ms(p.p99), p.garbage, 64<<10) +
		fmt.Sprintf("in %d calls a garbage collection ended, p99 of the others %.3f ms; a handler that thinks nothing: p50 %.3f ms, p99 %.3f ms; load of the machine %s",
			p.collected, ms(p.undisturbed), ms(p.idle50), ms(p.idle99), p.load)
}

// measurePort calls the handler over TCP, one call at a time as the scheduler does, and then one that
// thinks nothing.
func measurePort(calls int) (port, error) {
	index := populated()
	requests, size, err := recorded()
	if err != nil {
		return port{}, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return port{}, err
	}
	ours, err := measureHandler(calls, requests, handler.New(handler.Options{
		Index: index, Synced: func() bool { return true }, Deadline: time.Second, Metrics: counted.New(index, prometheus.NewRegistry()), Log: logr.Discard(),
	}))
	if err != nil {
		return port{}, err
	}
	answer := make([]byte, size)
	idle, err := measureHandler(calls, requests, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	}))
	if err != nil {
		return port{}, err
	}
	var undisturbed []time.Duration
	for _, call := range ours.calls {
		if !call.collected {
			undisturbed = append(undisturbed, call.took)
		}
	}
	p := port{calls: calls, garbage: ours.garbage, request: size, collected: calls - len(undisturbed), load: string(bytes.Join(bytes.Fields(load)[:3], []byte(" ")))}
	p.p50, p.p99 = ours.quantiles()
	p.idle50, p.idle99 = idle.quantiles()
	slices.Sort(undisturbed)
	p.undisturbed = undisturbed[len(undisturbed)*99/100]
	return p, nil
}

// measured are calls of one handler.
type measured struct {
	calls   []timed
	garbage int64 // bytes a call
}

// timed is one call, and whether a garbage collection ended in it.
type timed struct {
	took      time.Duration
	collected bool
}

func (m measured) quantiles() (p50, p99 time.Duration) {
	var took []time.Duration
	for _, call := range m.calls {
		took = append(took, call.took)
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// measureHandler calls a handler. The caller makes next to no garbage: it writes prepared bytes and
// reads into one buffer.
func measureHandler(calls int, requests [][]byte, h http.Handler) (m measured, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return m, err
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: h}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return m, err
	}
	defer func() { _ = connection.Close() }()
	reader := bufio.NewReaderSize(connection, 1<<20)
	m.calls = make([]timed, 0, calls)
	var before, after runtime.MemStats
	cycles := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	for i := range calls + calls/10 {
		if i == calls/10 { // what came before was to warm up
			runtime.GC()
			runtime.ReadMemStats(&before)
			m.calls = m.calls[:0]
		}
		metrics.Read(cycles)
		ended := cycles[0].Value.Uint64()
		started := time.Now()
		if err := exchange(connection, reader, requests[i%len(requests)]); err != nil {
			return m, err
		}
		took := time.Since(started)
		metrics.Read(cycles)
		m.calls = append(m.calls, timed{took, cycles[0].Value.Uint64() != ended})
	}
	runtime.ReadMemStats(&after)
	m.garbage = int64(after.TotalAlloc-before.TotalAlloc) / int64(calls)
	return m, nil
}

var contentLength = []byte("Content-Length: ")

// exchange sends a request and reads the answer to it.
func exchange(connection io.Writer, reader *bufio.Reader, request []byte) error {
	if _, err := connection.Write(request); err != nil {
		return err
	}
	line, err := reader.ReadSlice('\n')
	if err != nil || !bytes.Contains(line, []byte(" 200 ")) {
		return fmt.Errorf("answer %q: %w", line, err)
	}
	length := 0
	for len(line) > 2 {
		if line, err = reader.ReadSlice('\n'); err != nil {
			return err
		}
		if value, found := bytes.CutPrefix(line, contentLength); found {
			for _, digit := range bytes.TrimSpace(value) {
				length = length*10 + int(digit-'0')
			}
		}
	}
	_, err = reader.Discard(length)
	return err
}

// recorded are requests in bytes, as the scheduler of Kubernetes 1.37 encodes them: for many
// pods, filter and prioritize of each.
func recorded() (requests [][]byte, size int, err error) {
	dice := rand.New(rand.NewPCG(9, 10))
	for i := range 200 {
		var names []string
		for _, n := range dice.Perm(portNodes)[:portNames] {
			names = append(names, nodeName(n))
		}
		body, err := json.Marshal(extenderv1.ExtenderArgs{Pod: gpuPod(fmt.Sprint("asking-", i), ""), NodeNames: &names})
		if err != nil {
			return nil, 0, err
		}
		size = len(body)
		for _, verb := range []string{"filter", "prioritize"} {
			head := fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n", verb, len(body))
			requests = append(requests, append([]byte(head), body...))
		}
	}
	return requests, size, nil
}

func nodeName(n int) string {
	return fmt.Sprintf("ip-10-%d-%d-%d.ec2.internal", n/256/256, n/256%256, n%256)
}

// populated is a cluster of 5,000 nodes of 8 GPUs, half of them of a WarmPool that expects its
// owners, each with a few pods.
func populated() *handler.Index {
	index := handler.NewIndex(v1alpha1.PlaceholderNamespace)
	for _, name := range []string{"ml", v1alpha1.PlaceholderNamespace} {
		index.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}})
	}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "gpus", Generation: 1}}
	pool.Spec.Mode = v1alpha1.ModeEnforce
	pool.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "gpus"}
	pool.Spec.Demand.Resource = "nvidia.com/gpu"
	pool.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "ml"}
	pool.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "single", Wanted: 10}}
	index.SetPool(pool)
	gpus := resource.MustParse("8")
	for n := range portNodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(n), Labels: map[string]string{"topology.kubernetes.io/rack": fmt.Sprint(n / 32)}}}
		if n%2 == 0 {
			node.Labels["pool"] = "gpus"
		}
		node.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": gpus, "cpu": resource.MustParse("96"), "memory": resource.MustParse("768Gi"), "pods": resource.MustParse("110")}
		index.SetNode(node)
		for p := range n % 7 {
			index.SetPod(gpuPod(fmt.Sprintf("work-%d-%d", n, p), node.Name))
		}
	}
	return index
}

// gpuPod is about as large as a pod of a Job is when the scheduler sends it.
func gpuPod(name, node string) *corev1.Pod {
	amounts := corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1"), "cpu": resource.MustParse("8"), "memory": resource.MustParse("64Gi")}
	container := corev1.Container{
		Name: "main", Image: "registry.example.com/team/train@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		Command: []string{"python", "-m", "train"}, Resources: corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
	}
	for i := range 12 {
		container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprint("SETTING_", i), Value: "a value of some length"})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ml", Name: name, UID: types.UID(name), Labels: map[string]string{"job-name": name, "batch.kubernetes.io/job-name": name},
			Annotations:     map[string]string{v1alpha1.AnnotationPool: "gpus", v1alpha1.AnnotationGPUVendor: "nvidia", v1alpha1.AnnotationGPUCount: "1"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: name, UID: "job", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{container}},
	}
}
