package chart

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestUninstall: an uninstall under load, and a reinstall under load, fail no write and leave nothing. The first
// release is of the default values, the second of those that give the most rights.
func TestUninstall(t *testing.T) {
	e := newEnv(t)
	e.autoscaled(t)
	before := e.inventory(t)
	writers := e.writers(t)
	for round, values := range []string{e.values, generous(t, e.values)} {
		e.values = values
		e.install(t, load(t))
		processes := e.processes(t, round)
		e.use(t)
		e.limits(t, "2")
		if round == 1 {
			e.takeovers(t)
		}
		e.uninstall(t, processes)
		e.nothingLeft(t, before)
		e.limits(t, "")
	}
	writes, slowest, failed := writers()
	if len(failed) > 0 {
		t.Errorf("%d of %d writes failed, such as %v", len(failed), writes, failed[0])
	}
	t.Logf("%d writes, the slowest took %s", writes, slowest)
	if writes < 100 {
		t.Errorf("%d writes are no load", writes)
	}
}

// processes runs webhook, reserver and extender, and where it is asked for the second scheduler, each as what runs
// in a pod of the chart's.
func (e *env) processes(t *testing.T, round int) []*cluster.Process {
	t.Helper()
	name := func(part string) string { return fmt.Sprintf("%s-%d", part, round) }
	e.available(t, "forewarm-webhook", 2)
	e.available(t, "forewarm-reserver", 2)
	webhook, reserver := e.run(t, "webhook", name("webhook"), inWebhook), e.run(t, "reserver", name("reserver"), inReserver)
	e.container(t, "webhook", webhook)
	e.container(t, "reserver", reserver)
	if !strings.Contains(e.values, secondMode) {
		extender := e.run(t, "extender", name("extender"), inExtender)
		e.container(t, "extender", extender)
		return []*cluster.Process{webhook, reserver, extender}
	}
	e.available(t, "forewarm-scheduler", 2)
	extender, scheduler := e.run(t, "extender", name("extender"), inScheduler), e.scheduler(t, name("scheduler"))
	e.container(t, "scheduler", extender, scheduler)
	return []*cluster.Process{webhook, reserver, extender, scheduler}
}

// hold keeps a pod, as a kubelet does, until its process has ended.
const hold = "test.forewarm.dev/kubelet"

// container ties processes to a pod: who deletes the pod ends them, and the pod is gone only then.
func (e *env) container(t *testing.T, part string, processes ...*cluster.Process) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		pods := e.pods(t, part)
		if len(pods) == 0 {
			return fmt.Errorf("%s has no pod", part)
		}
		pod := &pods[0]
		controllerutil.AddFinalizer(pod, hold)
		if err := e.Client.Update(t.Context(), pod); err != nil {
			return err
		}
		go func() {
			ctx := context.WithoutCancel(t.Context())
			err := cluster.Wait(ctx, 4*patience, func() error {
				if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
					return err
				}
				if pod.DeletionTimestamp == nil {
					return errors.New("it runs on")
				}
				return nil
			})
			if err == nil {
				for _, p := range processes {
					_ = p.Stop(patience)
				}
				body := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
				_ = e.Client.Patch(ctx, pod, body)
			}
		}()
		return nil
	})
}

// use has the processes write all that they write: ceilings and totals, clamps of autoscalers, placeholders.
func (e *env) use(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "wide"}}
	hpa.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 90, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "none"}}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "warm"}}
	for _, o := range []client.Object{hpa, pool} {
		if pool, is := o.(*v1alpha1.WarmPool); is {
			pool.Spec = warm()
		}
		if err := e.Client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	body := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{"forewarm.dev/max-replicas":"50","forewarm.dev/max-total-replicas":"100","forewarm.dev/max-gpus":"8","test":%q}}}`, time.Now()))
	if err := e.Client.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, body); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		web, quota := &corev1.Namespace{}, &corev1.ResourceQuota{}
		for key, o := range map[client.ObjectKey]client.Object{
			{Name: "web"}: web, {Namespace: "web", Name: "wide"}: hpa, {Namespace: "web", Name: "forewarm-max-gpus"}: quota,
		} {
			if err := e.Client.Get(ctx, key, o); err != nil {
				return err
			}
		}
		if web.Labels[v1alpha1.LabelTotals] == "" || web.Labels[v1alpha1.LabelCeilings] == "" || hpa.Spec.MaxReplicas != 50 {
			return fmt.Errorf("labels %v, maxReplicas %d", web.Labels, hpa.Spec.MaxReplicas)
		}
		placeholders := &corev1.PodList{}
		if err := e.Client.List(ctx, placeholders, client.InNamespace(v1alpha1.PlaceholderNamespace)); err != nil || len(placeholders.Items) == 0 {
			return fmt.Errorf("%d placeholders, %w", len(placeholders.Items), err)
		}
		large := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "large"}}
		large.Spec = paused(60)
		if err := e.Client.Create(ctx, large, client.DryRunAll); !apierrors.IsForbidden(err) {
			return fmt.Errorf("60 replicas: %w, want them refused", err)
		}
		return nil
	})
}

// writers change how many replicas two Deployments of a namespace with a total have, until the returned
// function ends them and tells how that went. No pods are made: the Deployments are paused.
func (e *env) writers(t *testing.T) func() (writes int, slowest time.Duration, failed []error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	var mutex sync.Mutex
	writes, slowest, failed := 0, time.Duration(0), []error(nil)
	for _, name := range []string{"one", "two"} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: name}, Spec: paused(1)}
		if err := e.Client.Create(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				begin := time.Now()
				scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: int32(i%10 + 1)}}
				err := e.Client.SubResource("scale").Update(context.WithoutCancel(ctx), d.DeepCopy(), client.WithSubResourceBody(scale))
				mutex.Lock()
				writes, slowest = writes+1, max(slowest, time.Since(begin))
				if err != nil {
					failed = append(failed, err)
				}
				mutex.Unlock()
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	stop := func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return func() (int, time.Duration, []error) {
		stop()
		return writes, slowest, failed
	}
}

// uninstall is helm uninstall; what its Job says is run beside the cluster, as the Job's account.
func (e *env) uninstall(t *testing.T, processes []*cluster.Process) {
	t.Helper()
	e.cordon(t, true) // or KWOK would say at once that the Job is done
	defer e.cordon(t, false)
	ran := make(chan error, 1)
	go func() { ran <- e.job(context.WithoutCancel(t.Context())) }()
	uninstall := action.NewUninstall(e.helm(t, Namespace))
	uninstall.WaitStrategy, uninstall.Timeout = kube.HookOnlyStrategy, 4*patience
	if _, err := uninstall.Run(Release); err != nil {
		t.Fatalf("helm uninstall: %v", errors.Join(err, <-ran))
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		select {
		case <-p.Done():
		case <-time.After(patience):
			t.Errorf("%s runs on", p.Name)
		}
	}
}

// job plays the kubelet of the uninstall's Job.
func (e *env) job(ctx context.Context) error {
	var pod *corev1.Pod
	err := cluster.Wait(ctx, patience, func() error {
		list := &corev1.PodList{}
		if err := e.Client.List(ctx, list, client.InNamespace(Namespace), client.MatchingLabels{"app.kubernetes.io/name": "forewarm-uninstall"}); err != nil || len(list.Items) != 1 {
			return fmt.Errorf("%d pods of the Job, %w", len(list.Items), err)
		}
		pod = &list.Items[0]
		return nil
	})
	if err != nil {
		return err
	}
	kubeconfig, err := e.KubeconfigForServiceAccount(ctx, pod.Namespace, pod.Spec.ServiceAccountName)
	if err != nil {
		return err
	}
	container := pod.Spec.Containers[0]
	command := exec.CommandContext(ctx, filepath.Join(e.bin, container.Name), container.Args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	output, failed := command.CombinedOutput()
	phase := corev1.PodSucceeded
	if failed != nil {
		failed, phase = fmt.Errorf("%v: %w\n%s", container.Args, failed, output), corev1.PodFailed
	}
	body := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{"phase":%q}}`, phase))
	return errors.Join(failed, e.Client.Status().Patch(ctx, pod, body))
}

// unimportant are resources that come and go by themselves.
var unimportant = map[string]bool{"events": true, "leases": true, "pods": true, "replicasets": true, "controllerrevisions": true, "componentstatuses": true, "nodes": true, "endpointslices": true, "endpoints": true, "ipaddresses": true}

// inventory is everything that there is.
func (e *env) inventory(t *testing.T) map[string]bool {
	t.Helper()
	config := e.RESTConfig()
	resources, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	reader, all := metadata.NewForConfigOrDie(config), map[string]bool{}
	for _, group := range resources {
		version, err := schema.ParseGroupVersion(group.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range group.APIResources {
			own := slices.Contains([]string{"pods", "leases"}, r.Name)
			if !slices.Contains(r.Verbs, "list") || unimportant[r.Name] && !own {
				continue
			}
			list, err := reader.Resource(version.WithResource(r.Name)).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatalf("list %s: %v", r.Name, err)
			}
			for _, o := range list.Items {
				if own && o.Namespace != Namespace && o.Namespace != v1alpha1.PlaceholderNamespace {
					continue
				}
				all[strings.TrimSpace(fmt.Sprintf("%s.%s %s/%s", r.Name, version.Group, o.Namespace, o.Name))] = true
			}
		}
	}
	return all
}

// stays says of what there is after an uninstall, and was not before, whether it may be: CRDs with what people
// wrote and what was recorded, and what the test made.
func stays(what string) bool {
	resource, name, _ := strings.Cut(what, " ")
	name = strings.TrimPrefix(name, "/")
	for _, kept := range []string{"warmpools", "demandhistories", "forecastmodels", "decisions", "capacityplans", "demandevents"} {
		if resource == kept+".forewarm.dev" {
			return true
		}
	}
	return resource == "customresourcedefinitions.apiextensions.k8s.io" && strings.HasSuffix(name, ".forewarm.dev") ||
		resource == "apiservices.apiregistration.k8s.io" && strings.HasSuffix(name, ".forewarm.dev") || strings.HasPrefix(name, "web/")
}

// nothingLeft: all that there is was there before, or may stay, and is as it was.
func (e *env) nothingLeft(t *testing.T, before map[string]bool) {
	t.Helper()
	cluster.Eventually(t, 2*patience, func() error {
		after := e.inventory(t)
		var left []string
		for _, what := range slices.Sorted(maps.Keys(after)) {
			if quota := strings.Contains(what, "forewarm-max-gpus"); !before[what] && (!stays(what) || quota) {
				left = append(left, what)
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		return nil
	})
	web, hpa, pool := &corev1.Namespace{}, &autoscalingv2.HorizontalPodAutoscaler{}, &v1alpha1.WarmPool{}
	for key, o := range map[client.ObjectKey]client.Object{{Name: "web"}: web, {Namespace: "web", Name: "wide"}: hpa, {Name: "warm"}: pool} {
		if err := e.Client.Get(t.Context(), key, o); err != nil {
			t.Fatal(err)
		}
	}
	for label := range web.Labels {
		if strings.HasPrefix(label, "forewarm.dev/") {
			t.Errorf("label %s is left", label)
		}
	}
	if hpa.Spec.MaxReplicas != 90 || len(hpa.Annotations) > 0 {
		t.Errorf("the HPA has maxReplicas %d and annotations %v, want what it had", hpa.Spec.MaxReplicas, hpa.Annotations)
	}
	if len(pool.Finalizers) > 0 {
		t.Errorf("the WarmPool has finalizers %v", pool.Finalizers)
	}
}

// warm is a pool that holds two GPUs at least.
func warm() v1alpha1.WarmPoolSpec {
	spec := v1alpha1.WarmPoolSpec{Mode: v1alpha1.ModeEnforce}
	spec.Nodes.Selector.MatchLabels = map[string]string{corev1.LabelOSStable: "linux"}
	spec.Demand.Resource = cluster.GPU
	spec.Chunks = []v1alpha1.Chunk{{Name: "single", Tier: 1, Requests: corev1.ResourceList{cluster.GPU: resource.MustParse("1")}, WaitCostPerHour: "60", IdleCostPerHour: "3", Min: 2, Max: 4}}
	spec.Forecast = v1alpha1.ForecastSpec{Interval: metav1.Duration{Duration: time.Second}, History: metav1.Duration{Duration: time.Hour}}
	spec.Sizing = v1alpha1.SizingSpec{LeadTime: "3s", Hold: metav1.Duration{Duration: time.Hour}}
	return spec
}

// paused is a Deployment that makes no pods.
func paused(replicas int32) appsv1.DeploymentSpec {
	labels := map[string]string{"app": "load"}
	return appsv1.DeploymentSpec{
		Replicas: new(replicas), Paused: true, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "none", Image: "none"}}}},
	}
}
