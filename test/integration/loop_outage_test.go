package integration

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// loopOutage kills all that is ours; the webhook configurations and the scheduler's entry
// for the extender are left behind. A Deployment then needs a node that is not there.
func loopOutage(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	for _, p := range e.processes {
		p.Kill()
	}
	api := kubernetes.NewForConfigOrDie(e.RESTConfig()).AdmissionregistrationV1()
	if _, err := api.ValidatingWebhookConfigurations().Get(ctx, "forewarm", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.MutatingWebhookConfigurations().Get(ctx, "forewarm", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	template := func(name string) (metav1.LabelSelector, corev1.PodTemplateSpec) {
		labels := map[string]string{"app": name}
		return metav1.LabelSelector{MatchLabels: labels}, corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       loopPod("", "", 0, nil).Spec,
		}
	}
	daemons := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "agent"}}
	selector, agent := template("agent")
	daemons.Spec = appsv1.DaemonSetSpec{Selector: &selector, Template: agent}
	daemons.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30)
	e.create(t, daemons)
	system := loopPod(metav1.NamespaceSystem, "dns", 0, nil)
	e.create(t, system)
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "server"}}
	selector, server := template("server")
	server.Spec = loopPod("", "", 8, map[string]string{"karpenter.sh/nodepool": "plain"}).Spec
	web.Spec = appsv1.DeploymentSpec{Replicas: ptr.To[int32](0), Selector: &selector, Template: server}
	e.create(t, web)
	if err := webhookScale(ctx, e.Client, web, 1); err != nil {
		t.Fatal(err)
	}

	e.available(t, web)
	cluster.Eventually(t, loopWait, func() error {
		var nodes corev1.NodeList
		if err := e.Client.List(ctx, &nodes, client.MatchingLabels{"karpenter.sh/nodepool": "plain"}); err != nil {
			return err
		}
		if len(nodes.Items) != 1 {
			return fmt.Errorf("%d nodes, want one new", len(nodes.Items))
		}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(daemons), daemons); err != nil {
			return err
		}
		if n := daemons.Status.NumberReady; n != daemons.Status.DesiredNumberScheduled || n < 4 {
			return fmt.Errorf("%d of %d daemon pods are ready, want one on each node", n, daemons.Status.DesiredNumberScheduled)
		}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(system), system); err != nil {
			return err
		}
		if system.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("pod %s of kube-system is %s", system.Name, system.Status.Phase)
		}
		return nil
	})
}

// available waits until all replicas of a Deployment are.
func (e *loopEnv) available(t *testing.T, o *appsv1.Deployment) {
	t.Helper()
	cluster.Eventually(t, loopWait, func() error {
		if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if o.Status.ObservedGeneration != o.Generation || o.Status.AvailableReplicas != *o.Spec.Replicas {
			return fmt.Errorf("Deployment %s: %d of %d replicas run", o.Name, o.Status.AvailableReplicas, *o.Spec.Replicas)
		}
		return nil
	})
}
