package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	componentbasev1alpha1 "k8s.io/component-base/config/v1alpha1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/extender/handler"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

const (
	// failoverPods come at once; there is room for failoverRoom.
	failoverPods, failoverRoom = 100, 80
	// failoverLease is how long a scheduler that is gone still leads; Kubernetes' default is 15 s.
	failoverLease = 3 * time.Second
)

// TestExtenderFailover: two schedulers, each with an extender beside it as on two machines of a
// control plane. What leads is killed in the middle of a burst, first a whole machine, then the
// other's scheduler alone.
func TestExtenderFailover(t *testing.T) {
	one := &extenderEnv{address: loopAddress(t), lease: "kube-system/kube-scheduler"}
	one.Cluster = cluster.ForTest(t, cluster.Options{ControllerManager: true, KWOK: true, StaticNodes: []cluster.NodeTemplate{extenderNodes("plain", failoverRoom/8)}})
	one.install(t)
	two := &extenderEnv{Cluster: one.Cluster, binary: one.binary, kubeconfig: one.kubeconfig, address: loopAddress(t), lease: one.lease}
	two.configure(t)
	two.start(t)
	first := one.scheduler(t, "scheduler-1")
	leader := one.leads(t, "")
	second := two.scheduler(t, "scheduler-2")

	one.failover(t, "machine", func() {
		first.Kill()
		one.process.Kill()
	})
	leader = two.leads(t, leader)
	if changes := two.changes(t); changes != 1 {
		t.Errorf("the second extender has seen %v changes of the scheduler, want 1", changes)
	}
	if calls := two.requests(t)["filter ok"]; calls == 0 {
		t.Error("the second extender was never called")
	}
	two.nobodyExpected(t)

	one.start(t)
	one.scheduler(t, "scheduler-1")
	one.failover(t, "scheduler", second.Kill)
	one.leads(t, leader)
	if changes := two.changes(t); changes != 2 {
		t.Errorf("the second extender has seen %v changes of the scheduler, want 2", changes)
	}
	if calls := one.requests(t)["filter ok"]; calls == 0 {
		t.Error("the first extender was never called after its return")
	}
	one.nobodyExpected(t)
	two.nobodyExpected(t)
}

// scheduler starts one that stands for election and calls this extender.
func (e *extenderEnv) scheduler(t *testing.T, name string) *cluster.Process {
	t.Helper()
	kubeconfig, err := e.KubeconfigFor("system:kube-scheduler")
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(configv1.KubeSchedulerConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: configv1.SchemeGroupVersion.String(), Kind: "KubeSchedulerConfiguration"},
		LeaderElection: componentbasev1alpha1.LeaderElectionConfiguration{
			LeaderElect: new(true), ResourceLock: "leases", ResourceNamespace: metav1.NamespaceSystem, ResourceName: "kube-scheduler",
			LeaseDuration: metav1.Duration{Duration: failoverLease}, RenewDeadline: metav1.Duration{Duration: failoverLease * 2 / 3}, RetryPeriod: metav1.Duration{Duration: failoverLease / 6},
		},
		ClientConnection:         componentbasev1alpha1.ClientConnectionConfiguration{Kubeconfig: kubeconfig, QPS: 500, Burst: 1000},
		PodInitialBackoffSeconds: new(int64(1)), PodMaxBackoffSeconds: new(int64(1)),
		Extenders: []configv1.Extender{handler.SchedulerEntry("http://"+e.address, string(cluster.GPU))},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	scheduler, err := assets.Find(assets.Scheduler)
	if err != nil {
		t.Fatal(err)
	}
	process, err := e.StartProcess(context.WithoutCancel(t.Context()), name, scheduler, []string{"--config=" + path, "--secure-port=0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return process
}

// leads waits until another scheduler leads than before, and returns its name.
func (e *extenderEnv) leads(t *testing.T, before string) string {
	t.Helper()
	holder := ""
	cluster.Eventually(t, extenderWait, func() error {
		lease := &coordinationv1.Lease{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "kube-scheduler"}, lease); err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || *lease.Spec.HolderIdentity == before {
			return errors.New("no other scheduler leads")
		}
		holder = *lease.Spec.HolderIdentity
		return nil
	})
	return holder
}

// failover has kill run in the middle of a burst, and shows that nothing is counted twice: every
// node is full, none is given more than it has, and the rest waits.
func (e *extenderEnv) failover(t *testing.T, what string, kill func()) {
	t.Helper()
	var killed time.Time
	before := 0
	for i := range failoverPods {
		pod := extenderPod("web", fmt.Sprint(what, "-", i), "plain", 1)
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		if i == failoverPods/3 {
			kill()
			killed, before = time.Now(), e.standing(t, what).bound
		}
	}
	cluster.Eventually(t, extenderWait, func() error {
		if now := e.standing(t, what).bound; now <= before {
			return fmt.Errorf("%d pods are bound, as at the kill", now)
		}
		return nil
	})
	t.Logf("%s killed with %d pods bound; the next one was seen bound %s later, of a lease of %s", what, before, time.Since(killed).Round(100*time.Millisecond), failoverLease)
	cluster.Eventually(t, extenderWait, func() error {
		if got := e.standing(t, what); got.bound != failoverRoom || got.waiting != failoverPods-failoverRoom {
			return fmt.Errorf("%d pods are bound and %d wait, want %d and %d", got.bound, got.waiting, failoverRoom, failoverPods-failoverRoom)
		}
		return nil
	})
	for node, pods := range e.standing(t, what).on {
		if pods != 8 {
			t.Errorf("%s: %d pods of one GPU on %s of 8", what, pods, node)
		}
	}
	for _, name := range []string{"scheduler-1", "scheduler-2"} {
		if strings.Contains(e.LogOf(name), "binding rejected") {
			t.Errorf("%s had bindings rejected", name)
		}
	}
	if err := e.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("web"), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

// failoverStanding is what has become of the pods of a burst.
type failoverStanding struct {
	bound, waiting int
	on             map[string]int
}

func (e *extenderEnv) standing(t *testing.T, name string) failoverStanding {
	t.Helper()
	var pods corev1.PodList
	if err := e.Client.List(t.Context(), &pods, client.InNamespace("web")); err != nil {
		t.Fatal(err)
	}
	s := failoverStanding{on: map[string]int{}}
	for i := range pods.Items {
		pod := &pods.Items[i]
		switch {
		case !strings.HasPrefix(pod.Name, name+"-"):
		case pod.Spec.NodeName != "":
			s.bound++
			s.on[pod.Spec.NodeName]++
		case strings.HasPrefix(extenderCondition(pod), corev1.PodReasonUnschedulable):
			s.waiting++
		}
	}
	return s
}

// changes are how often the extender has seen another scheduler lead.
func (e *extenderEnv) changes(t *testing.T) float64 {
	t.Helper()
	return metricsOf(t, http.DefaultClient, "http://"+e.metrics+"/metrics")["forewarm_extender_scheduler_changes_total"].GetMetric()[0].GetCounter().GetValue()
}

// nobodyExpected waits until the extender expects no pod on any node.
func (e *extenderEnv) nobodyExpected(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, extenderWait, func() error {
		metrics := metricsOf(t, http.DefaultClient, "http://"+e.metrics+"/metrics")
		if holds := metrics["forewarm_extender_tentative_holds"].GetMetric()[0].GetGauge().GetValue(); holds != 0 {
			return fmt.Errorf("%v holds are left", holds)
		}
		return nil
	})
}
