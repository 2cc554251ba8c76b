package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/chaos/invariant"
	"forewarm.dev/test/cluster"
	"forewarm.dev/webhook"
)

const (
	// writer is the user whose requests the audit log keeps.
	writer = "chaos-writer"
	// mustShow begins the audit IDs of writes that a review of ours, or its absence, must show in the
	// audit log: they grow past a ceiling which only tells.
	mustShow = "chaos-shows-"

	heldNamespace    = "held"    // a ceiling on each workload
	countedNamespace = "counted" // a total over all
	toldNamespace    = "told"    // a ceiling of zero that only tells
	gpuNamespace     = "gpus"    // a total of GPUs over all
	probeNamespace   = "probe"   // a total, for probes

	heldMost, ownMost, namedMost int32 = 5, 3, 2
	countedMost, gpusMost        int64 = 12, 12
)

// namespaces are those of the load, with what is annotated on them.
func namespaces() map[string]map[string]string {
	return map[string]map[string]string{
		heldNamespace:    {v1alpha1.AnnotationMaxReplicas: fmt.Sprint(heldMost), webhook.WorkloadMaxReplicas: fmt.Sprintf("deployment/named=%d", namedMost)},
		countedNamespace: {webhook.MaxTotalReplicas: fmt.Sprint(countedMost)},
		toldNamespace:    {v1alpha1.AnnotationMaxReplicas: "0", webhook.CeilingMode: "audit"},
		jobNamespace:     nil,
		realNamespace:    nil,
		gpuNamespace:     {webhook.MaxGPUs: fmt.Sprint(gpusMost)},
		probeNamespace:   {webhook.MaxTotalReplicas: "5"},
	}
}

// target is a workload that one writer changes.
type target struct {
	kind, namespace, name string
	// most is the highest number that the writer asks for, own the ceiling on the workload itself.
	most int32
	own  string
	// gpus are those of each pod; where there are any, the writer changes them too.
	gpus int64
}

func targets() []target {
	return []target{
		{"Deployment", heldNamespace, "web", 9, "", 0},
		{"Deployment", heldNamespace, "own", 9, fmt.Sprint(ownMost), 0},
		{"Deployment", heldNamespace, "named", 9, "", 0},
		{"StatefulSet", heldNamespace, "db", 9, "", 0},
		{"Deployment", countedNamespace, "a", 6, "", 0},
		{"Deployment", countedNamespace, "b", 6, "", 0},
		{"Deployment", countedNamespace, "c", 6, "", 0},
		{"StatefulSet", countedNamespace, "d", 6, "", 0},
		{"Deployment", toldNamespace, "a", 3, "", 0},
		{"Deployment", toldNamespace, "b", 3, "", 0},
		{"Deployment", gpuNamespace, "a", 5, "", 1},
		{"Deployment", gpuNamespace, "b", 4, "", 2},
		{"StatefulSet", gpuNamespace, "c", 4, "", 2},
	}
}

// ceilings are what the targets are held to.
func ceilings() invariant.Ceilings {
	return invariant.Ceilings{
		Workloads: map[string]int32{
			"deployment/held/web": heldMost, "deployment/held/own": ownMost, "deployment/held/named": namedMost, "statefulset/held/db": heldMost,
		},
		Totals: map[string]int64{countedNamespace: countedMost},
		GPUs:   map[string]int64{gpuNamespace: gpusMost},
	}
}

// load is what writes.
type load struct {
	seed   uint64
	pause  time.Duration
	client client.Client
	next   atomic.Int64

	mu       sync.Mutex
	outcomes map[string]int
	// denied are those writes that were, by their Namespace or kind.
	denied map[string]int
}

// ids gives a request the audit ID that its context names.
type ids struct{ http.RoundTripper }

type idKey struct{}

// RoundTrip sets the header by which API servers take an audit ID from their clients.
func (i ids) RoundTrip(request *http.Request) (*http.Response, error) {
	if id, ok := request.Context().Value(idKey{}).(string); ok {
		request = request.Clone(request.Context())
		request.Header.Set("Audit-ID", id)
	}
	return i.RoundTripper.RoundTrip(request)
}

func newLoad(c *cluster.Cluster, seed uint64, pause time.Duration) (*load, error) {
	kubeconfig, err := c.KubeconfigFor(writer, "system:masters")
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Timeout = -1, 20*time.Second
	config.Wrap(func(t http.RoundTripper) http.RoundTripper { return ids{t} })
	l := &load{seed: seed, pause: pause, outcomes: map[string]int{}, denied: map[string]int{}}
	if l.client, err = newClient(config, c); err != nil {
		return nil, err
	}
	return l, nil
}

func newClient(config *rest.Config, c *cluster.Cluster) (client.Client, error) {
	made, err := client.New(config, client.Options{Scheme: c.Client.Scheme()})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return made, nil
}

// run writes until ctx ends.
func (l *load) run(ctx context.Context) {
	var writers sync.WaitGroup
	for i, t := range targets() {
		writers.Go(func() {
			w := &scaler{load: l, target: t, random: rand.New(rand.NewPCG(l.seed, uint64(i)))}
			each(ctx, w.random, l.pause, w.write)
		})
	}
	for i := range buyers {
		writers.Go(func() {
			b := &buyer{load: l, number: i, random: rand.New(rand.NewPCG(l.seed, uint64(1000+i)))}
			each(ctx, b.random, buyPause*l.pause, b.write)
		})
	}
	writers.Wait()
}

// each writes after pauses of a mean length, until ctx ends.
func each(ctx context.Context, random *rand.Rand, pause time.Duration, write func(context.Context)) {
	for {
		wait := time.NewTimer(time.Duration(random.ExpFloat64() * float64(pause)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		write(ctx)
	}
}

// note counts what became of a write to a Namespace, or of a kind that has none.
func (l *load) note(to string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what := outcome(err)
	l.outcomes[what]++
	if what == "denied" {
		l.denied[to]++
	}
}

// written are the writes so far by what became of them.
func (l *load) written() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.outcomes)
}

// refused are the writes so far that were denied, by what they wrote to.
func (l *load) refused() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.denied)
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case apierrors.IsForbidden(err):
		return "denied"
	case apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook"):
		return "unanswered"
	case apierrors.IsConflict(err), apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err):
		return "stale"
	case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
		return "refused"
	default:
		return "unreachable"
	}
}

// scaler is the only one that changes its workload. A write that fails may have been made all the same.
type scaler struct {
	*load
	target
	random *rand.Rand
}

// write makes one of the writes by which a workload can grow or shrink.
func (s *scaler) write(ctx context.Context) {
	replicas, way := s.random.Int32N(s.most+1), s.random.IntN(10)
	stands := s.object(0)
	err := s.client.Get(ctx, client.ObjectKeyFromObject(stands), stands)
	switch {
	case apierrors.IsNotFound(err):
		s.note(s.namespace, s.client.Create(s.named(ctx, replicas > 0), s.object(replicas)))
		return
	case err != nil:
		s.note(s.namespace, err)
		return
	case way == 0:
		s.note(s.namespace, s.client.Delete(ctx, stands))
		return
	case way <= 2 && s.gpus > 0:
		s.note(s.namespace, s.client.Patch(s.named(ctx, false), stands, withGPUs(1+s.random.Int64N(4))))
		return
	}
	ctx = s.named(ctx, replicas > *asked(stands))
	switch way % 3 {
	case 0:
		*asked(stands) = replicas
		err = s.client.Update(ctx, stands)
	case 1:
		err = s.client.Patch(ctx, stands, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)))
	default:
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
		err = s.client.SubResource("scale").Update(ctx, stands, client.WithSubResourceBody(scale))
	}
	s.note(s.namespace, err)
}

// withGPUs changes how many GPUs each pod of a workload has.
func withGPUs(n int64) client.Patch {
	return client.RawPatch(types.StrategicMergePatchType, fmt.Appendf(nil,
		`{"spec":{"template":{"spec":{"containers":[{"name":"main","resources":{"limits":{%[1]q:"%[2]d"},"requests":{%[1]q:"%[2]d"}}}]}}}}`, cluster.GPU, n))
}

// named gives the next request an audit ID that tells whether it grows past what tells.
func (s *scaler) named(ctx context.Context, grows bool) context.Context {
	prefix := "chaos-"
	if grows && s.namespace == toldNamespace {
		prefix = mustShow
	}
	return context.WithValue(ctx, idKey{}, fmt.Sprint(prefix, s.next.Add(1)))
}

// asked points to the replicas of a workload.
func asked(o client.Object) *int32 {
	if d, ok := o.(*appsv1.Deployment); ok {
		return d.Spec.Replicas
	}
	return o.(*appsv1.StatefulSet).Spec.Replicas
}

func (s *scaler) object(replicas int32) client.Object {
	return workload(s.target, replicas)
}

// workload is an object of a target.
func workload(t target, replicas int32) client.Object {
	meta := metav1.ObjectMeta{Namespace: t.namespace, Name: t.name}
	if t.own != "" {
		meta.Annotations = map[string]string{v1alpha1.AnnotationMaxReplicas: t.own}
	}
	labels := map[string]string{"app": t.name}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(map[string]string{"role": "plain"}, "")}
	if t.gpus > 0 {
		limit(&template.Spec, t.gpus)
	}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	if t.kind == "StatefulSet" {
		return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector, Template: template, PodManagementPolicy: appsv1.ParallelPodManagement}}
	}
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template}}
}
