package play

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast/history"
	"forewarm.dev/test/demo/arrivals"
)

// History is the demand of each chunk that is recorded before the pool is made, to the step.
func History(w arrivals.Workload, t Times) map[string][]float64 {
	whole, single := w.Demand(-t.PreRoll, min(t.History, w.Known(-t.PreRoll)), t.Interval)
	return map[string][]float64{"node": whole, "single": single}
}

// seedAndPool records the history that ends now, as if Forewarm had watched it, and makes
// the WarmPool.
func (r *run) seedAndPool(ctx context.Context, now time.Time) error {
	pool := WarmPool(r.Times, r.Factor)
	step := pool.Spec.Forecast.Interval.Duration
	end := now.Truncate(step)
	store := history.NewStore(r.cluster.Client)
	for chunk, demand := range History(r.Workload, r.Times) {
		samples := make([]history.Sample, len(demand))
		for i, value := range demand {
			samples[i] = history.Sample{At: end.Add(-time.Duration(len(demand)-i) * step), Demand: value}
		}
		if err := store.Append(ctx, history.Key{Pool: pool.Name, Chunk: chunk}, samples...); err != nil {
			return err
		}
	}
	return r.cluster.Client.Create(ctx, pool)
}

// ceiling asks for more replicas than a ceiling allows, and returns the refusal.
func (r *run) ceiling(ctx context.Context) (string, error) {
	labels := map[string]string{"app": "inference"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "inference", Namespace: jobNamespace, Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: "3"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
			},
		},
	}
	if err := r.cluster.Client.Create(ctx, deployment); err != nil {
		return "", fmt.Errorf("create a Deployment with a ceiling: %w", err)
	}
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "inference", Namespace: jobNamespace}, Spec: autoscalingv1.ScaleSpec{Replicas: 5}}
	_, err := r.clients.AppsV1().Deployments(jobNamespace).UpdateScale(ctx, "inference", scale, metav1.UpdateOptions{})
	switch {
	case err == nil:
		return "", errors.New("scaling a Deployment above its ceiling was not refused")
	case !apierrors.IsForbidden(err):
		return "", fmt.Errorf("scale a Deployment above its ceiling: %w", err)
	}
	return err.Error(), nil
}
