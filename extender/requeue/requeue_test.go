package requeue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

// requeuer knows of a pool that lets everybody have its capacity, and of no pod yet.
func requeuer(objects ...client.Object) *Requeuer {
	x := handler.NewIndex("hold")
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", ResourceVersion: "7"}}
	pool.Spec.Mode = v1alpha1.ModeEnforce
	x.SetPool(pool)
	return &Requeuer{
		Index: x, Client: fake.NewClientBuilder().WithObjects(objects...).Build(),
		Metrics: metrics.New(x, prometheus.NewRegistry()), Log: logr.Discard(),
	}
}

// refused is a pod that the scheduler says we refused for the pool.
func refused(name string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: name, UID: types.UID(name)}}
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "0/1 nodes are available: 1 node(s) kept warm for the demand class of WarmPool a100, which this pod is not in",
	}}
	return p
}

func TestTouch(t *testing.T) {
	refused := refused("refused")
	r := requeuer(refused)
	if r.touch(t.Context()) {
		t.Error("nobody waits, and somebody was touched")
	}
	r.Index.SetPod(refused)
	if !r.touch(t.Context()) || r.touch(t.Context()) {
		t.Error("want one pod touched, once")
	}
	got := &corev1.Pod{}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(refused), got); err != nil || got.Annotations[v1alpha1.AnnotationRequeued] != "a100/7" {
		t.Errorf("%v, annotations %v", err, got.Annotations)
	}
}

// TestATouchThatFailedIsTriedAgain: with longer and longer breaks, until it is done or nobody waits.
func TestATouchThatFailedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Duration
		began := time.Now()
		r := requeuer()
		r.Client = fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
				if tries = append(tries, time.Since(began).Round(time.Second)); len(tries) < 4 {
					return apierrors.NewTooManyRequests("no", 1)
				}
				return nil
			},
		}).Build()
		go func() { _ = r.Start(t.Context()) }()
		r.Index.SetPod(refused("p"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(tries, want) {
			t.Errorf("tried after %v, want %v", tries, want)
		}
	})
}

// TestNobodyWaitsForManyTouches: a placeholder is deleted for who is overdue though a thousand pods are
// to be touched.
func TestNobodyWaitsForManyTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := requeuer()
		took, touched, began := time.Duration(-1), 0, time.Now()
		r.Client = fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
				touched++
				return nil
			},
			Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
				took = time.Since(began)
				return nil
			},
		}).Build()
		waiting(t, r)
		time.Sleep(3 * time.Second)
		began = time.Now()
		for i := range 1000 {
			r.Index.SetPod(refused(fmt.Sprint("p", i)))
		}
		go func() { _ = r.Start(t.Context()) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if took < 0 || took > time.Second || touched != 1000 {
			t.Errorf("deleted after %v, %d touched", took, touched)
		}
	})
}

// gpuPod asks for GPUs, on a node or on none yet.
func gpuPod(namespace, name, node, gpus string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(gpus)}}}}
	p.Spec.Priority = new(int32(1))
	return p
}

func held(name string) *corev1.Pod {
	p := gpuPod("hold", name, "n", "1")
	p.Labels, p.Spec.PriorityClassName = map[string]string{v1alpha1.LabelPool: "a100"}, v1alpha1.PlaceholderPriorityClass
	p.Spec.Priority = new(int32(-10))
	return p
}

// waiting has a placeholder given to a pod that takes the room of real work instead, and another
// pod told to wait for it.
func waiting(t *testing.T, r *Requeuer) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	node.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("3"), corev1.ResourcePods: resource.MustParse("9")}
	work := gpuPod("web", "work", "n", "2")
	r.Index.SetNode(node)
	r.Index.SetPod(held("held"))
	r.Index.SetPod(work)
	candidates := handler.Candidates{"n": {Pods: []types.UID{"work"}}}
	r.Index.SelectVictims(gpuPod("ml", "first", "", "1"), candidates)
	r.Index.DropPod(work)
	r.Index.SetPod(gpuPod("web", "less", "n", "1"))
	r.Index.SetPod(gpuPod("ml", "second", "", "1"))
	if got := r.Index.SelectVictims(gpuPod("ml", "second", "", "1"), candidates); len(got) > 0 {
		t.Fatalf("victims %v, want none: room is coming", got)
	}
	r.Index.SetPod(gpuPod("ml", "first", "n", "1"))
}

// TestTake: the pod that waits gets it in the end.
func TestTake(t *testing.T) {
	r := requeuer(held("held"), held("other"))
	waiting(t, r)
	if r.take(t.Context()) {
		t.Error("a placeholder was deleted at once")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); !r.take(t.Context()); <-tick.C {
		if time.Now().After(limit) {
			t.Fatal("no placeholder is deleted")
		}
	}
	if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: "hold", Name: "held"}, &corev1.Pod{}); !apierrors.IsNotFound(err) {
		t.Errorf("the placeholder is still there: %v", err)
	}
	if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: "hold", Name: "other"}, &corev1.Pod{}); err != nil {
		t.Errorf("another: %v", err)
	}
}

// TestTakeFails: what could not be deleted the scheduler may delete for anybody, and we do not try again at
// once. What is gone was deleted.
func TestTakeFails(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, test := range map[string]struct {
		fails error
		free  bool
	}{
		"too many requests": {apierrors.NewTooManyRequests("no", 1), true},
		"it may not":        {apierrors.NewForbidden(pods, "held", errors.New("no")), true},
		"nobody answers":    {context.DeadlineExceeded, true},
		"it is gone":        {apierrors.NewNotFound(pods, "held"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				refuse := interceptor.Funcs{Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
					tries++
					return test.fails
				}}
				r := requeuer()
				r.Client = fake.NewClientBuilder().WithInterceptorFuncs(refuse).Build()
				waiting(t, r)
				time.Sleep(3 * time.Second)
				if !r.take(t.Context()) || tries != 1 {
					t.Fatalf("%d tries, want one", tries)
				}
				got := r.Index.SelectVictims(gpuPod("ml", "third", "", "1"), handler.Candidates{"n": {Pods: []types.UID{"held"}}})
				if (len(got) > 0) != test.free {
					t.Errorf("candidates %v, want some: %v", got, test.free)
				}
				r.Index.DropPod(gpuPod("ml", "third", "", "1"))
				if time.Sleep(9 * time.Second); r.take(t.Context()) {
					t.Error("tried again at once")
				}
				time.Sleep(time.Minute)
				if r.Index.Expire(); !r.take(t.Context()) || tries != 2 {
					t.Errorf("%d tries in the end, want another", tries)
				}
			})
		})
	}
}
