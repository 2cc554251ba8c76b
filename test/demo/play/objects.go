package play

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/demo/arrivals"
)

const (
	// jobNamespace holds the jobs.
	jobNamespace = "team-ml"
	// constantNamespace and constantClass are those of the constant placeholders.
	constantNamespace = "overprovisioning"
	constantClass     = "overprovisioning"
	// poolName is the name of the WarmPool and of Karpenter's NodePool.
	poolName = "gpu"
	image    = "registry.k8s.io/pause:3.10"
)

// PoolName is the name of the WarmPool and of Karpenter's NodePool.
const PoolName = poolName

// Requests is what a pod with so many GPUs asks for: its share of a node, less what daemons need.
func Requests(gpus int) corev1.ResourceList {
	return corev1.ResourceList{
		cluster.GPU:           *resource.NewQuantity(int64(gpus), resource.DecimalSI),
		corev1.ResourceCPU:    *resource.NewQuantity(int64(11*gpus), resource.DecimalSI),
		corev1.ResourceMemory: resource.MustParse(fmt.Sprintf("%dGi", 50*gpus)),
	}
}

func container(gpus int) []corev1.Container {
	requests := Requests(gpus)
	return []corev1.Container{{Name: "main", Image: image, Resources: corev1.ResourceRequirements{
		Requests: requests, Limits: corev1.ResourceList{cluster.GPU: requests[cluster.GPU]},
	}}}
}

// NewJob is a batch/v1 Job; more than one pod makes it an indexed one.
func NewJob(name, namespace string, job arrivals.Job, run time.Duration) *batchv1.Job {
	pods, gpus := job.Pods()
	object := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: batchv1.JobSpec{
			Parallelism: new(int32(pods)), Completions: new(int32(pods)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{cluster.RunTimeAnnotation: run.Round(time.Millisecond).String()}},
				Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: container(gpus)},
			},
		},
	}
	if pods > 1 {
		object.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
	}
	return object
}

// constantObjects are the usual constant overprovisioning: a Deployment of single-GPU pods
// at priority −10.
func constantObjects(replicas int) (*corev1.Namespace, *schedulingv1.PriorityClass, *appsv1.Deployment) {
	labels := map[string]string{"app": "placeholder"}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: constantNamespace}},
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: constantClass}, Value: -10, PreemptionPolicy: ptr.To(corev1.PreemptNever)},
		&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "placeholder", Namespace: constantNamespace},
			Spec: appsv1.DeploymentSpec{
				Replicas: new(int32(replicas)),
				Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec: corev1.PodSpec{
						PriorityClassName:             constantClass,
						TerminationGracePeriodSeconds: ptr.To[int64](0),
						NodeSelector:                  map[string]string{"karpenter.sh/nodepool": poolName},
						Containers:                    container(1),
					},
				},
			},
		}
}

// Times are the durations of a run, uncompressed.
type Times struct {
	// Boot is from Karpenter's decision to the node.
	Boot time.Duration
	// Lead is the boot time and what comes on top.
	Lead time.Duration
	// ConsolidateAfter is how long Karpenter keeps an empty node.
	ConsolidateAfter time.Duration
	// Interval is the step of history and plans.
	Interval time.Duration
	// History is how much history is seeded.
	History time.Duration
	// PreRoll is how long before the window the arms warm up.
	PreRoll time.Duration
}

// WarmPool is the pool of the demo with all times divided by the factor; costs stay.
func WarmPool(t Times, factor float64) *v1alpha1.WarmPool {
	shrink := func(d time.Duration) metav1.Duration {
		return metav1.Duration{Duration: time.Duration(float64(d) / factor).Round(time.Millisecond)}
	}
	return &v1alpha1.WarmPool{
		ObjectMeta: metav1.ObjectMeta{Name: poolName},
		Spec: v1alpha1.WarmPoolSpec{
			Nodes:  v1alpha1.NodeSelection{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"karpenter.sh/nodepool": poolName}}},
			Demand: v1alpha1.DemandSelection{Resource: cluster.GPU},
			Chunks: []v1alpha1.Chunk{
				{Name: "node", Requests: Requests(arrivals.NodeGPUs), WaitCostPerHour: "400", IdleCostPerHour: "24", Max: 4},
				{Name: "single", Requests: Requests(1), WaitCostPerHour: "60", IdleCostPerHour: "3", Max: 128},
			},
			Forecast: v1alpha1.ForecastSpec{
				Interval: shrink(t.Interval), History: shrink(t.History),
				Seasons: []metav1.Duration{shrink(24 * time.Hour), shrink(7 * 24 * time.Hour)},
			},
			Sizing: v1alpha1.SizingSpec{LeadTime: v1alpha1.AutoDuration(shrink(t.Lead).Duration.String()), Hold: shrink(t.ConsolidateAfter)},
			Mode:   v1alpha1.ModeEnforce,
		},
	}
}
