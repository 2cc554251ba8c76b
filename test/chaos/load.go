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
	probeNamespace   = "probe"   // a total, for probes

	heldMost, ownMost, namedMost int32 = 5, 3, 2
	countedMost                  int32 = 12
)

// namespaces are those of the load, with what is annotated on them.
func namespaces() map[string]map[string]string {
	return map[string]map[string]string{
		heldNamespace:    {v1alpha1.AnnotationMaxReplicas: fmt.Sprint(heldMost), webhook.WorkloadMaxReplicas: fmt.Sprintf("deployment/named=%d", namedMost)},
		countedNamespace: {webhook.MaxTotalReplicas: fmt.Sprint(countedMost)},
		toldNamespace:    {v1alpha1.AnnotationMaxReplicas: "0", webhook.CeilingMode: "audit"},
		jobNamespace:     nil,
		realNamespace:    nil,
		probeNamespace:   {webhook.MaxTotalReplicas: "5"},
	}
}

// target is a workload that one writer changes.
type target struct {
	kind, namespace, name string
	// most is the highest number that the writer asks for, own the ceiling on the workload itself.
	most int32
	own  string
}

func targets() []target {
	return []target{
		{"Deployment", heldNamespace, "web", 9, ""},
		{"Deployment", heldNamespace, "own", 9, fmt.Sprint(ownMost)},
		{"Deployment", heldNamespace, "named", 9, ""},
		{"StatefulSet", heldNamespace, "db", 9, ""},
		{"Deployment", countedNamespace, "a", 6, ""},
		{"Deployment", countedNamespace, "b", 6, ""},
		{"Deployment", countedNamespace, "c", 6, ""},
		{"StatefulSet", countedNamespace, "d", 6, ""},
		{"Deployment", toldNamespace, "a", 3, ""},
		{"Deployment", toldNamespace, "b", 3, ""},
	}
}

// ceilings are what the targets are held to.
func ceilings() invariant.Ceilings {
	return invariant.Ceilings{
		Workloads: map[string]int32{
			"deployment/held/web": heldMost, "deployment/held/own": ownMost, "deployment/held/named": namedMost, "statefulset/held/db": heldMost,
		},
		Totals: map[string]int32{countedNamespace: countedMost},
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
	l := &load{seed: seed, pause: pause, outcomes: map[string]int{}}
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
			w.run(ctx)
		})
	}
	writers.Wait()
}

// note counts what became of a write.
func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[outcome(err)]++
}

// written are the writes so far by what became of them.
func (l *load) written() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.outcomes)
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

func (s *scaler) run(ctx context.Context) {
	for {
		wait := time.NewTimer(time.Duration(s.random.ExpFloat64() * float64(s.pause)))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		s.write(ctx)
	}
}

// write makes one of the writes by which a workload can grow or shrink.
func (s *scaler) write(ctx context.Context) {
	replicas, way := s.random.Int32N(s.most+1), s.random.IntN(10)
	stands := s.object(0)
	err := s.client.Get(ctx, client.ObjectKeyFromObject(stands), stands)
	switch {
	case apierrors.IsNotFound(err):
		s.note(s.client.Create(s.named(ctx, replicas > 0), s.object(replicas)))
		return
	case err != nil:
		s.note(err)
		return
	case way == 0:
		s.note(s.client.Delete(ctx, stands))
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
	s.note(err)
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
	selector := &metav1.LabelSelector{MatchLabels: labels}
	if t.kind == "StatefulSet" {
		return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector, Template: template, PodManagementPolicy: appsv1.ParallelPodManagement}}
	}
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template}}
}
