package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
)

const (
	// poolName is that of the WarmPool and of Karpenter's NodePool.
	poolName = "gpu"
	// jobNamespace holds GPU jobs, realNamespace what nobody may evict for them.
	jobNamespace, realNamespace = "ml", "real"
	// cheapClass costs less to preempt than a placeholder.
	cheapClass = "cheap"
	// gpuNodes is how many nodes the pool may have.
	gpuNodes = 3
)

// poolNodes are the labels of the nodes of the pool, whoever makes them.
func poolNodes() map[string]string { return map[string]string{"tier": poolName} }

// gpus is a number of them.
func gpus(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.DecimalSI) }

// podSpec is of a pod that asks for little and runs where labels select.
func podSpec(nodes map[string]string, class string) corev1.PodSpec {
	return corev1.PodSpec{
		NodeSelector: nodes, PriorityClassName: class, TerminationGracePeriodSeconds: ptr.To[int64](0), AutomountServiceAccountToken: new(false),
		Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.10", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("100Mi")},
		}}},
	}
}

// limit has a pod hold GPUs.
func limit(pod *corev1.PodSpec, n int64) {
	pod.Containers[0].Resources.Limits = corev1.ResourceList{cluster.GPU: *gpus(n)}
}

// pool keeps placeholders on nodes that jobs fill now and then, and goes up and down with them.
func pool() *v1alpha1.WarmPool {
	return &v1alpha1.WarmPool{
		ObjectMeta: metav1.ObjectMeta{Name: poolName},
		Spec: v1alpha1.WarmPoolSpec{
			Nodes:    v1alpha1.NodeSelection{Selector: metav1.LabelSelector{MatchLabels: poolNodes()}},
			Demand:   v1alpha1.DemandSelection{Resource: cluster.GPU},
			Chunks:   []v1alpha1.Chunk{{Name: "single", Requests: play.Requests(1), WaitCostPerHour: "60", IdleCostPerHour: "3", Min: 8, Max: 16}},
			Forecast: v1alpha1.ForecastSpec{Interval: metav1.Duration{Duration: 2 * time.Second}, History: metav1.Duration{Duration: time.Hour}},
			Sizing:   v1alpha1.SizingSpec{LeadTime: "5s", Hold: metav1.Duration{Duration: 10 * time.Second}},
			Mode:     v1alpha1.ModeEnforce,
		},
	}
}

// real are pods on the nodes of the pool: cheaper than placeholders and dearer, for which there is always
// room, and on each node one that is cheaper and holds a GPU, which a job may preempt.
func real() []client.Object {
	objects := []client.Object{&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: cheapClass}, Value: -100}}
	for name, class := range map[string]string{"cheap": cheapClass, "usual": ""} {
		labels := map[string]string{"app": name}
		objects = append(objects, &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: realNamespace, Name: name},
			Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](4), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(poolNodes(), class),
			}},
		})
	}
	return append(objects, working())
}

// working are pods that hold a GPU each, no two on a node.
func working() *appsv1.Deployment {
	labels := map[string]string{"app": "working"}
	spec := podSpec(poolNodes(), cheapClass)
	limit(&spec, 1)
	spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
		{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: labels}},
	}}}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: realNamespace, Name: "working"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](gpuNodes), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

// submit makes GPU jobs, now and then a burst, until ctx ends.
func (l *load) submit(ctx context.Context) {
	random := rand.New(rand.NewPCG(l.seed, 1<<32))
	for i := 0; ; i++ {
		pause := time.Duration(random.ExpFloat64() * float64(3*time.Second))
		if random.IntN(12) < 6 && i%24 > 16 {
			pause = 0
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		job := arrivals.Job{GPUs: 1 << random.IntN(3), Run: 4*time.Second + time.Duration(random.ExpFloat64()*float64(8*time.Second))}
		object := play.NewJob(fmt.Sprintf("job-%05d", i), jobNamespace, job, job.Run)
		object.Spec.TTLSecondsAfterFinished = ptr.To[int32](20)
		object.Spec.Template.Spec.NodeSelector = poolNodes()
		object.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
		l.note(jobNamespace, l.client.Create(context.WithValue(ctx, idKey{}, fmt.Sprint("chaos-job-", i)), object))
	}
}
