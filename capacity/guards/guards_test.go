package guards

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
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
		if err := g.Ensure(ctx, nil, at); err != nil {
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
