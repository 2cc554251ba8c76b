package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster/assets"
)

// bootDelay is how long Karpenter's nodes take in these tests.
const bootDelay = 3 * time.Second

// TestWholeControlPlane starts everything once, and asks of it what other tests rely on.
func TestWholeControlPlane(t *testing.T) {
	audit := filepath.Join(t.TempDir(), "audit.log")
	c := ForTest(t, Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true,
		NodeBootDelay: bootDelay, BatchIdle: 100 * time.Millisecond, BatchMax: time.Second,
		NodePools:   []NodePool{{Name: "a100", Labels: map[string]string{"team": "ml"}, Limits: corev1.ResourceList{GPU: resource.MustParse("64")}}},
		StaticNodes: []NodeTemplate{{Name: "system", Count: 2, Labels: map[string]string{"role": "system"}}},
		AuditLog:    audit,
	})
	t.Logf("up in %s", c.StartTime)

	t.Run("a job makes Karpenter buy a node, runs and completes", func(t *testing.T) { jobBuysNode(t, c) })
	t.Run("how long a running job has left can be told later", func(t *testing.T) { toldLater(t, c) })
	t.Run("a bare pod keeps running and is deleted at once", func(t *testing.T) { barePod(t, c) })
	t.Run("every component shows metrics", func(t *testing.T) { metricsOf(t, c) })
	t.Run("a ServiceAccount may do what RBAC says", func(t *testing.T) { serviceAccount(t, c) })
	t.Run("the audit log tells create from bind", func(t *testing.T) { audited(t, audit) })
	t.Run("own processes are supervised", func(t *testing.T) { ownProcess(t, c) })
	t.Run("a component is killed and goes on", func(t *testing.T) { restarted(t, c) })

	pids := pidsOf(c)
	for range 2 { // the second time it does nothing
		if err := c.Stop(); err != nil {
			t.Fatalf("stop: %v", err)
		}
	}
	if err := gone(pids); err != nil {
		t.Errorf("after Stop: %v", err)
	}
}

// restarted kills the API server and the database behind it.
func restarted(t *testing.T, c *Cluster) {
	if err := c.Restart(assets.APIServer); err == nil || !strings.Contains(err.Error(), "has not ended") {
		t.Errorf("restart what runs: %v", err)
	}
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kept"}}
	if err := c.Client.Create(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{assets.APIServer, assets.Etcd} {
		c.ProcessOf(name).Kill()
		if err := c.Restart(name); err != nil {
			t.Fatal(err)
		}
		Eventually(t, time.Minute, func() error { return c.Ready(t.Context(), assets.APIServer) })
	}
	Eventually(t, time.Minute, func() error {
		return c.Client.Get(t.Context(), client.ObjectKeyFromObject(kept), &corev1.ConfigMap{})
	})
}

func pidsOf(c *Cluster) []int {
	var pids []int
	for _, p := range c.processes {
		pids = append(pids, p.PID())
	}
	return pids
}

// gone fails while one of the processes is there.
func gone(pids []int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process %d is still there: %v", pid, err)
		}
	}
	return nil
}

func jobBuysNode(t *testing.T, c *Cluster) {
	ctx := t.Context()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "train"}}
	job.Spec.Template.Annotations = map[string]string{RunTimeAnnotation: "2s"}
	job.Spec.Template.Spec = podSpec("8")
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	if err := c.Client.Create(ctx, job); err != nil {
		t.Fatal(err)
	}
	created := time.Now()
	pod := &corev1.Pod{}
	Eventually(t, 30*time.Second, func() error {
		var pods corev1.PodList
		if err := c.Client.List(ctx, &pods, client.InNamespace("default"), client.MatchingLabels{"job-name": "train"}); err != nil {
			return err
		}
		if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Errorf("want one running pod, got %d", len(pods.Items))
		}
		*pod = pods.Items[0]
		return nil
	})
	if waited := time.Since(created); waited < bootDelay {
		t.Errorf("the pod ran after %s, before a node could boot in %s", waited, bootDelay)
	} else {
		t.Logf("node bought and pod running after %s", waited)
	}
	node := &corev1.Node{}
	if err := c.Client.Get(ctx, client.ObjectKey{Name: pod.Spec.NodeName}, node); err != nil {
		t.Fatal(err)
	}
	if node.Labels["karpenter.sh/nodepool"] != "a100" || node.Labels["team"] != "ml" {
		t.Errorf("node labels %v, want those of the pool a100", node.Labels)
	}
	Eventually(t, 20*time.Second, func() error {
		if err := c.Client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		if job.Status.Succeeded != 1 || job.Status.CompletionTime == nil {
			return fmt.Errorf("job has not completed: %+v", job.Status)
		}
		return nil
	})
	ran := job.Status.CompletionTime.Sub(pod.Status.StartTime.Time)
	if ran < time.Second || ran > 6*time.Second { // whole seconds in the API
		t.Errorf("the job ran for %s, want about the 2s of its annotation", ran)
	}
}

// toldLater: a new run time counts from when it is written.
func toldLater(t *testing.T, c *Cluster) {
	ctx := t.Context()
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "told"}}
	job.Spec.Template.Annotations = map[string]string{RunTimeAnnotation: "1h"}
	job.Spec.Template.Spec = podSpec("0")
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	if err := c.Client.Create(ctx, job); err != nil {
		t.Fatal(err)
	}
	pods := &corev1.PodList{}
	Eventually(t, 30*time.Second, func() error {
		if err := c.Client.List(ctx, pods, client.InNamespace("default"), client.MatchingLabels{batchv1.JobNameLabel: "told"}); err != nil {
			return err
		}
		if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Errorf("want one running pod, got %d", len(pods.Items))
		}
		return nil
	})
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"2s"}}}`, RunTimeAnnotation)
	told := time.Now()
	if err := c.Client.Patch(ctx, &pods.Items[0], client.RawPatch(types.MergePatchType, patch)); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, func() error {
		if err := c.Client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		if job.Status.Succeeded != 1 {
			return fmt.Errorf("job has not completed: %+v", job.Status)
		}
		return nil
	})
	if ran := time.Since(told); ran < 1500*time.Millisecond || ran > 8*time.Second {
		t.Errorf("the job ran for %s more, want about the 2s that it was told", ran)
	}
}

func barePod(t *testing.T, c *Cluster) {
	ctx := t.Context()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "bare", Annotations: map[string]string{RunTimeAnnotation: "100ms"}}, Spec: podSpec("0")}
	pod.Spec.NodeSelector = map[string]string{"role": "system"}
	if err := c.Client.Create(ctx, pod); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, func() error {
		if err := c.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("phase %s, want Running", pod.Status.Phase)
		}
		return nil
	})
	if err := c.Client.Delete(ctx, pod); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 5*time.Second, func() error {
		if err := c.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); !apierrors.IsNotFound(err) {
			return fmt.Errorf("pod still there: %v", err)
		}
		return nil
	})
}

func metricsOf(t *testing.T, c *Cluster) {
	for component, want := range map[string]string{
		assets.Etcd:              "etcd_server_has_leader",
		assets.APIServer:         "apiserver_request_total",
		assets.Scheduler:         "scheduler_schedule_attempts_total",
		assets.ControllerManager: "workqueue_adds_total",
		assets.KWOK:              "go_goroutines",
		assets.Karpenter:         "karpenter_nodes_created_total",
	} {
		response, err := c.HTTPClient().Get(c.EndpointOf(component).Metrics)
		if err != nil {
			t.Errorf("%s: %v", component, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s answers %s without %s (%v)", component, response.Status, want, err)
		}
		if c.LogOf(component) == "" {
			t.Errorf("%s has logged nothing", component)
		}
	}
}

func serviceAccount(t *testing.T, c *Cluster) {
	ctx := t.Context()
	if err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}}); err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "reader"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}}}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "tenant", Name: "default"}},
	}
	if err := c.Apply(ctx, role, binding); err != nil {
		t.Fatal(err)
	}
	path, err := c.KubeconfigForServiceAccount(ctx, "tenant", "default")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, 5*time.Second, func() error { return tenant.List(ctx, &corev1.PodList{}, client.InNamespace("tenant")) })
	if err := tenant.List(ctx, &corev1.PodList{}, client.InNamespace("default")); !apierrors.IsForbidden(err) {
		t.Errorf("list pods of another namespace: %v, want forbidden", err)
	}
}

func audited(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"subresource":"binding"`, `system:kube-scheduler`, `system:serviceaccount:kube-system:job-controller`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the audit log does not mention %s", want)
		}
	}
}

func ownProcess(t *testing.T, c *Cluster) {
	p, err := c.StartProcess(t.Context(), "mine", "/bin/sh", []string{"-c", "echo hello $WHO; exec sleep 1000"}, []string{"WHO=world"})
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, 5*time.Second, func() error {
		if got := c.LogOf("mine"); got != "hello world\n" {
			return fmt.Errorf("log %q", got)
		}
		return nil
	})
	if err := p.Stop(5 * time.Second); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("stop: %v, want the signal that ended it", err)
	}
}

// podSpec is a pod that asks for GPUs.
func podSpec(gpus string) corev1.PodSpec {
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(30)),
		Containers: []corev1.Container{{
			Name: "main", Image: "example.com/none",
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
				Limits:   corev1.ResourceList{GPU: resource.MustParse(gpus)},
			},
		}},
	}
}

// TestStartFailures: each says what is wrong, and leaves no process and no folder.
func TestStartFailures(t *testing.T) {
	tests := map[string]struct {
		options Options
		cache   string
		want    string
	}{
		"missing programs":            {cache: "empty", want: "run: make tools"},
		"Karpenter without KWOK":      {options: Options{Karpenter: true}, want: "set KWOK too"},
		"static nodes without KWOK":   {options: Options{StaticNodes: []NodeTemplate{{Name: "n", Count: 1}}}, want: "set KWOK too"},
		"boot delay below a second":   {options: Options{NodeBootDelay: 1500 * time.Millisecond}, want: "whole seconds"},
		"flag that is not understood": {options: Options{ExtraArgs: map[string][]string{assets.APIServer: {"--no-such-flag"}}}, want: "unknown flag: --no-such-flag"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.cache != "" {
				t.Setenv("FOREWARM_CACHE", filepath.Join(t.TempDir(), tt.cache))
				t.Setenv("KUBEBUILDER_ASSETS", "")
			}
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			c, err := Start(t.Context(), tt.options)
			if assets.IsMissing(err) && tt.cache == "" && testing.Short() {
				t.Skipf("-short and no control plane: %v", err)
			}
			if c != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Start = %v, %v; want an error with %q", c, err, tt.want)
			}
			left, _ := filepath.Glob(filepath.Join(temp, "forewarm-cluster-*"))
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestStartInterrupted: a start that is cancelled cleans up after itself.
func TestStartInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{})
	if assets.IsMissing(err) && testing.Short() {
		t.Skipf("-short and no control plane: %v", err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, want %v", err, context.Canceled)
	}
}
