package guards

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
)

// enforced stands for kube-controller-manager: what a quota says is in force at once.
func enforced(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	err := c.Get(ctx, key, o, options...)
	if quota, ok := o.(*corev1.ResourceQuota); ok {
		quota.Status.Hard = quota.Spec.Hard
	}
	return err
}

// TestTiersHaveClasses: those of the pools that act, at once; the quota bounds the placeholders of all.
func TestTiersHaveClasses(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{Get: enforced}).Build()
	g := New(c, c, v1alpha1.PlaceholderNamespace, -3)
	acts, watches := &v1alpha1.WarmPool{}, &v1alpha1.WarmPool{}
	acts.Spec.Mode, watches.Spec.Mode = v1alpha1.ModeEnforce, v1alpha1.ModeObserve
	acts.Spec.Chunks, watches.Spec.Chunks = []v1alpha1.Chunk{{Name: "a"}}, []v1alpha1.Chunk{{Name: "b", Tier: 4}}
	for _, tiers := range [][]int32{{0}, {0, 1}, {0, 1, 9}} {
		acts.Spec.Chunks = nil
		for _, tier := range tiers {
			acts.Spec.Chunks = append(acts.Spec.Chunks, v1alpha1.Chunk{Tier: tier})
		}
		if err := g.Ensure(ctx, []*v1alpha1.WarmPool{watches, acts}, nil, now); err != nil {
			t.Fatal(err)
		}
		var classes schedulingv1.PriorityClassList
		if err := c.List(ctx, &classes); err != nil {
			t.Fatal(err)
		}
		got := map[string]int32{}
		for _, class := range classes.Items {
			got[class.Name] = class.Value
		}
		want := map[string]int32{}
		for _, tier := range tiers {
			want[v1alpha1.PlaceholderClass(tier)] = map[int32]int32{0: -3, 1: -2, 9: -1}[tier] // never as high as a pod without one
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tiers %v: classes (-want +got):\n%s", tiers, diff)
		}
	}
	// One from before there were tiers bounds the first alone.
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PlaceholderNamespace, Name: v1alpha1.PlaceholderPriorityClass}}
	if err := c.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
		t.Fatal(err)
	}
	all := quota.Spec.ScopeSelector.DeepCopy()
	quota.Spec.ScopeSelector.MatchExpressions[0].Values = []string{v1alpha1.PlaceholderPriorityClass}
	if err := c.Update(ctx, quota); err != nil {
		t.Fatal(err)
	}
	if err := g.Ensure(ctx, []*v1alpha1.WarmPool{acts}, nil, now.Add(lookAgain)); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil || !cmp.Equal(all, quota.Spec.ScopeSelector) || len(all.MatchExpressions[0].Values) != 10 {
		t.Errorf("the quota bounds %+v, %v; want %+v", quota.Spec.ScopeSelector, err, all)
	}
}

// TestWhatStandsForAPoolThatActsNoMoreTakesNothingFromOthers: the quota counts it until it ends.
func TestWhatStandsForAPoolThatActsNoMoreTakesNothingFromOthers(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{Get: enforced}).Build()
	g := New(c, c, v1alpha1.PlaceholderNamespace, -10)
	gpus := func(n string) corev1.ResourceList {
		return corev1.ResourceList{"nvidia.com/gpu": resource.MustParse(n), corev1.ResourceCPU: resource.MustParse("500m")}
	}
	poolOf := func(name string, mode v1alpha1.Mode, maximum int32) *v1alpha1.WarmPool {
		pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
		pool.Spec.Mode, pool.Spec.Chunks = mode, []v1alpha1.Chunk{{Name: "a", Requests: gpus("1"), Max: maximum}}
		return pool
	}
	pools := []*v1alpha1.WarmPool{poolOf("observed", v1alpha1.ModeObserve, 9), poolOf("enforced", v1alpha1.ModeEnforce, 3)}
	stands := func(phase corev1.PodPhase) *corev1.Pod {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: gpus("8")}}}}}
		pod.Status.Phase = phase
		return pod
	}
	standing := map[string][]*corev1.Pod{
		"observed": {stands(corev1.PodRunning), stands(corev1.PodPending), stands(corev1.PodFailed)},
		"enforced": {stands(corev1.PodRunning)},
	}
	for _, want := range []corev1.ResourceList{
		{"pods": resource.MustParse("5"), "requests.nvidia.com/gpu": resource.MustParse("19"), "requests.cpu": resource.MustParse("2500m")},
		{"pods": resource.MustParse("3"), "requests.nvidia.com/gpu": resource.MustParse("3"), "requests.cpu": resource.MustParse("1500m")},
	} {
		if err := g.Ensure(ctx, pools, standing, now); err != nil {
			t.Fatal(err)
		}
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PlaceholderNamespace, Name: v1alpha1.PlaceholderPriorityClass}}
		if err := c.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(want, quota.Spec.Hard) {
			t.Errorf("hard %v, want %v", quota.Spec.Hard, want)
		}
		delete(standing, "observed")
	}
}

func TestGuardsThatAreDeletedComeBack(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{Get: enforced}).Build()
	g := New(c, c, v1alpha1.PlaceholderNamespace, -10)
	guards := []client.Object{
		&corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PlaceholderNamespace, Name: v1alpha1.PlaceholderPriorityClass}},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlaceholderPriorityClass}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlaceholderNamespace}},
	}
	ensure := func(at time.Time) {
		t.Helper()
		if err := g.Ensure(ctx, nil, nil, at); err != nil {
			t.Fatal(err)
		}
	}
	ensure(now)
	for i, guard := range guards {
		if err := c.Delete(ctx, guard); err != nil {
			t.Fatalf("%T was not made: %v", guard, err)
		}
		ensure(now.Add(time.Duration(i+1) * lookAgain))
		if err := c.Get(ctx, client.ObjectKeyFromObject(guard), guard); err != nil {
			t.Errorf("%T was not put back: %v", guard, err)
		}
	}
	reads := 0
	counted := interceptor.NewClient(c, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
		reads++
		return enforced(ctx, c, key, o, options...)
	}})
	g = New(counted, counted, v1alpha1.PlaceholderNamespace, -10)
	ensure(now)
	before := reads
	ensure(now.Add(lookAgain - time.Second))
	if reads != before {
		t.Errorf("%d reads while all is known, want none", reads-before)
	}
}
