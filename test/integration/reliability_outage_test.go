package integration

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/handler"
)

// mutatingEntry is an entry of somebody's for the pods of one Namespace.
func (e *reliabilityEnv) mutatingEntry(t *testing.T, name, namespace string, policy admissionregistrationv1.FailurePolicyType, server *httptest.Server) {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []admissionregistrationv1.MutatingWebhook{{
		Name: name + ".example.com", AdmissionReviewVersions: []string{"v1"}, FailurePolicy: &policy, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
		ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: ca},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
	}}}
	if err := e.Client.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Client.Delete(context.WithoutCancel(t.Context()), configuration) })
}

// reliabilityPanic runs the handler in this process, without what it needs: it panics.
func reliabilityPanic(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	h := handler.New(handler.Options{Kinds: webhook.Kinds(), Registerer: prometheus.NewRegistry(), Log: logr.Discard(), Clock: clock.RealClock{}})
	asked := make(chan int, 100)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		h.Pods.ServeHTTP(recorded, r)
		asked <- recorded.Code
		w.WriteHeader(recorded.Code)
		_, _ = io.Copy(w, recorded.Body)
	}))
	defer server.Close()
	for policy, want := range map[admissionregistrationv1.FailurePolicyType]bool{admissionregistrationv1.Ignore: true, admissionregistrationv1.Fail: false} {
		namespace := "panic-" + strings.ToLower(string(policy))
		if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			t.Fatal(err)
		}
		e.mutatingEntry(t, namespace, namespace, policy, server)
		var err error
		cluster.Eventually(t, webhookWait, func() error {
			err = e.Client.Create(ctx, webhookPod(namespace, "one", 1), client.DryRunAll)
			select {
			case code := <-asked:
				if code != http.StatusInternalServerError {
					t.Errorf("%s: a panic answered HTTP %d", policy, code)
				}
				return nil
			default:
				return fmt.Errorf("%s: the handler was not asked", policy)
			}
		})
		if created := err == nil; created != want {
			t.Errorf("%s: %v, want it created: %t", policy, err, want)
		}
	}
}

// reliabilityReinvoked: a webhook behind ours adds a GPU; ours says so, and changes nothing else.
func reliabilityReinvoked(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "reinvoked"}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var pod corev1.Pod
		_ = json.Unmarshal(review.Request.Object.Raw, &pod)
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if len(pod.Spec.Containers) == 1 {
			review.Response.PatchType = new(admissionv1.PatchTypeJSONPatch)
			review.Response.Patch = []byte(`[{"op":"add","path":"/spec/containers/-","value":{"name":"more","image":"example.com/none","resources":{"limits":{"nvidia.com/gpu":"3"},"requests":{"nvidia.com/gpu":"3"}}}}]`)
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	defer server.Close()
	e.mutatingEntry(t, "zz-after-forewarm", "reinvoked", admissionregistrationv1.Fail, server)
	cluster.Eventually(t, webhookWait, func() error {
		pod := webhookPod("reinvoked", "train", 2)
		if err := e.Client.Create(ctx, pod, client.DryRunAll); err != nil {
			return err
		}
		if count := pod.Annotations[v1alpha1.AnnotationGPUCount]; count != "5" {
			return fmt.Errorf("%d containers, gpu-count %q, want 5", len(pod.Spec.Containers), count)
		}
		tolerations := 0
		for _, toleration := range pod.Spec.Tolerations {
			if toleration.Key == "nvidia.com/gpu" {
				tolerations++
			}
		}
		if tolerations != 1 {
			return fmt.Errorf("tolerations %v, want nvidia.com/gpu once", pod.Spec.Tolerations)
		}
		return nil
	})
}

// account is a client configuration with the rights of the manifests.
func (e *reliabilityEnv) account(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", e.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// reliabilityRights: what the two replicas did until now they were allowed to, and more they
// are not.
func reliabilityRights(t *testing.T, e *reliabilityEnv) {
	for _, p := range e.replicas {
		for line := range strings.SplitSeq(p.Log(), "\n") {
			if strings.Contains(line, "forbidden: User") {
				t.Errorf("%s: %s", p.Name, line)
			}
		}
	}
	c, err := client.New(e.account(t), client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[authorizationv1.ResourceAttributes]bool{
		{Verb: "get", Resource: "secrets", Namespace: v1alpha1.SystemNamespace, Name: "forewarm-webhook-ca"}:                   true,
		{Verb: "get", Resource: "secrets", Namespace: v1alpha1.SystemNamespace, Name: "another"}:                               false,
		{Verb: "list", Resource: "secrets", Namespace: v1alpha1.SystemNamespace}:                                               false,
		{Verb: "list", Resource: "secrets"}:                                                                                    false,
		{Verb: "list", Resource: "pods"}:                                                                                       false,
		{Verb: "create", Resource: "pods", Namespace: v1alpha1.SystemNamespace}:                                                false,
		{Verb: "update", Group: "apps", Resource: "deployments"}:                                                               false,
		{Verb: "patch", Group: "apps", Resource: "deployments", Subresource: "scale"}:                                          false,
		{Verb: "delete", Resource: "namespaces"}:                                                                               false,
		{Verb: "update", Resource: "nodes"}:                                                                                    false,
		{Verb: "patch", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: "forewarm"}:  true,
		{Verb: "patch", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: "another"}:   false,
		{Verb: "delete", Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: "forewarm"}: false,
		{Verb: "set", Group: "forewarm.dev", Resource: "ceilings"}:                                                             false,
		{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}:                                           false,
		{Verb: "impersonate", Resource: "users"}:                                                                               false,
	} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what}}
		if err := c.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != want {
			t.Errorf("%+v: allowed %t, want %t", what, review.Status.Allowed, want)
		}
	}
}

// reliabilityPriority: what reviews wait for queues behind nobody.
func reliabilityPriority(t *testing.T, e *reliabilityEnv) {
	schema := &flowcontrolv1.FlowSchema{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "forewarm-webhook"}, schema); err != nil {
		t.Fatal(err)
	}
	config := e.account(t)
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.Get(config.Host + "/api/v1/namespaces/default")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if got := response.Header.Get("X-Kubernetes-PF-FlowSchema-UID"); got != string(schema.UID) {
		t.Errorf("served under FlowSchema %q, want %q", got, schema.UID)
	}
}

// timed is how long a write took, and its outcome.
func timed(write func() error) (time.Duration, error) {
	began := time.Now()
	err := write()
	return time.Since(began), err
}

// reliabilityHang stops both replicas without closing their connections.
func reliabilityHang(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	e.counting(t, "hangs", map[string]string{totalReplicas: "10"})
	counted, free := webhookWorkload("Deployment", "hangs", "web", 3, ""), webhookWorkload("Deployment", "default", "hangs", 3, "")
	for _, o := range []*unstructured.Unstructured{counted, free} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range e.replicas {
		if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(p.PID(), syscall.SIGCONT) }()
	}
	// Twice the timeout of two seconds, and some.
	const most = 4500 * time.Millisecond
	for _, c := range []struct {
		name  string
		write func() error
		most  time.Duration
		fails bool
	}{
		{"a new workload under a total", func() error {
			return e.Client.Create(ctx, webhookWorkload("StatefulSet", "hangs", "db", 1, ""))
		}, 3200 * time.Millisecond, true},
		// The API server asks a second time, since what failed may have been upon an old object.
		{"growth under a total", func() error { return webhookScale(ctx, e.Client, counted, 4) }, most, true},
		{"a decrease under a total", func() error { return webhookScale(ctx, e.Client, counted, 2) }, time.Second, false},
		{"growth elsewhere", func() error { return webhookScale(ctx, e.Client, free, 4) }, most, false},
		{"a decrease elsewhere", func() error { return webhookScale(ctx, e.Client, free, 1) }, time.Second, false},
		{"a GPU pod", func() error { return e.Client.Create(ctx, webhookPod("default", "hang-gpu", 1), client.DryRunAll) }, most, false},
		{"a pod", func() error { return e.Client.Create(ctx, webhookPod("default", "hang", 0), client.DryRunAll) }, time.Second, false},
	} {
		took, err := timed(c.write)
		t.Logf("%s: %s", c.name, took.Round(10*time.Millisecond))
		if failed := unanswered(err); failed != c.fails || (!failed && err != nil) || took > c.most {
			t.Errorf("%s: %v after %s, want a failure: %t, within %s", c.name, err, took, c.fails, c.most)
		}
	}
	for _, p := range e.replicas {
		_ = syscall.Kill(p.PID(), syscall.SIGCONT)
		e.await(t, p)
	}
	cluster.Eventually(t, webhookWait, func() error { return webhookScale(ctx, e.Client, counted, 4) })
}

// replace tells a replica to end, starts another, and returns the one that is leaving. As a
// Service does, the balancer leads nobody to one that is not ready.
func (e *reliabilityEnv) replace(t *testing.T, replica int) *webhookProcess {
	t.Helper()
	others := slices.Delete(e.balancer.Ports(), replica, replica+1)
	leaving := e.replicas[replica]
	if err := syscall.Kill(leaving.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		if status := leaving.ready(); status == http.StatusOK {
			return fmt.Errorf("%s is still ready", leaving.Name)
		}
		return nil
	})
	e.balancer.SetPorts(others...)
	port := webhookPort(t)
	e.replicas[replica] = e.run(t, leaving.Name+"-again", port, "")
	e.await(t, e.replicas[replica])
	e.balancer.SetPorts(slices.Insert(others, replica, port)...)
	return leaving
}

// reliabilityDrain ends one of two replicas under 200 writes a second: each gets its verdict.
func reliabilityDrain(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	o := webhookWorkload("Deployment", "default", "drained", 1, "5")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	failed := func() float64 {
		return e.metric(t, `apiserver_admission_webhook_fail_open_count{[^}]*forewarm[^}]*}`) + e.metric(t, `apiserver_admission_webhook_rejection_count{[^}]*error_type="calling_webhook_error"[^}]*forewarm[^}]*}`)
	}
	before, calls := failed(), e.calls(t, "scale.ceilings.forewarm.dev")
	ended := make(chan struct{})
	var writers sync.WaitGroup
	grow := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":4}}`))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 8 {
		writers.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-tick.C:
				}
				options := &client.SubResourcePatchOptions{PatchOptions: client.PatchOptions{DryRun: []string{metav1.DryRunAll}}, SubResourceBody: &autoscalingv1.Scale{}}
				if err := e.Client.SubResource("scale").Patch(ctx, o.DeepCopy(), grow, options); err != nil {
					t.Errorf("a write: %v", err)
				}
			}
		})
	}
	leaving := e.replace(t, 0)
	if long() { // it waits until the API server lets go of connections that rest
		<-leaving.Done()
	}
	close(ended)
	writers.Wait()
	if n := failed() - before; n != 0 {
		t.Errorf("%.0f reviews were not answered", n)
	}
	t.Logf("%d reviews", e.calls(t, "scale.ceilings.forewarm.dev")-calls)
	leaving.Kill()
}

// reliabilityNoNode: nothing of ours runs, no node is there, and our own pods wait for one.
func reliabilityNoNode(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	if err := e.Client.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"forewarm.dev/max-nodes":"5"}}}`))); err != nil {
		t.Fatal(err)
	}
	for _, p := range e.replicas {
		p.Kill()
	}
	var nodes corev1.NodeList
	if err := e.Client.List(ctx, &nodes); err != nil || len(nodes.Items) != 0 {
		t.Fatalf("%d nodes (%v), want none to begin with", len(nodes.Items), err)
	}
	ours := webhookWorkload("Deployment", v1alpha1.SystemNamespace, "forewarm-webhook", 2, "")
	unstructured.RemoveNestedField(ours.Object, "spec", "template", "spec", "nodeSelector")
	system := webhookPod(metav1.NamespaceSystem, "dns", 0)
	gpu := webhookPod("default", "gpu", 1)
	for _, o := range []client.Object{ours, system, gpu} {
		if took, err := timed(func() error { return e.Client.Create(ctx, o) }); err != nil || (o != client.Object(gpu) && took > time.Second) {
			t.Fatalf("create %s/%s: %v after %s", o.GetNamespace(), o.GetName(), err, took)
		}
	}
	if len(gpu.Annotations) != 0 {
		t.Errorf("the GPU pod has annotations %v", gpu.Annotations)
	}
	reliabilityBootstrap(t, e)
	cluster.Eventually(t, webhookWait, func() error {
		d := &appsv1.Deployment{}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(ours), d); err != nil {
			return err
		}
		if d.Status.AvailableReplicas != 2 {
			return fmt.Errorf("%d of our 2 pods run: %+v", d.Status.AvailableReplicas, d.Status.Conditions)
		}
		for _, pod := range []*corev1.Pod{system, gpu} {
			if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil || pod.Status.Phase != corev1.PodRunning {
				return fmt.Errorf("pod %s is %s (%w)", pod.Name, pod.Status.Phase, err)
			}
		}
		return nil
	})
	if err := e.Client.List(ctx, &nodes); err != nil || len(nodes.Items) == 0 || nodes.Items[0].Labels["karpenter.sh/nodepool"] == "" {
		t.Errorf("%d nodes (%v), want one that Karpenter bought", len(nodes.Items), err)
	}
	// A rollout of ours goes on too.
	if err := e.Client.Patch(ctx, ours.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"template":{"metadata":{"labels":{"version":"2"}}}}}`))); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		d := &appsv1.Deployment{}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(ours), d); err != nil {
			return err
		}
		if d.Status.UpdatedReplicas != 2 || d.Status.AvailableReplicas != 2 || d.Status.Replicas != 2 {
			return fmt.Errorf("the rollout of our pods: %+v", d.Status)
		}
		return nil
	})
}

// reliabilityBootstrap writes what a node and its kubelet write: nobody of ours is asked.
func reliabilityBootstrap(t *testing.T, e *reliabilityEnv) {
	t.Helper()
	ctx := t.Context()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "joins"}, Spec: corev1.NodeSpec{Unschedulable: true}}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "joins-too"}} // KWOK renews that of the node
	lease.Spec.HolderIdentity = new("joins")
	for _, c := range []struct {
		name  string
		write func() error
	}{
		{"a node registers", func() error { return e.Client.Create(ctx, node) }},
		{"its lease", func() error { return e.Client.Create(ctx, lease) }},
		{"its lease is renewed", func() error {
			return e.Client.Patch(ctx, lease, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"leaseDurationSeconds":41}}`)))
		}},
		{"a system pod", func() error { return e.Client.Create(ctx, webhookPod(metav1.NamespaceSystem, "proxy", 0)) }},
		{"the node goes", func() error { return e.Client.Delete(ctx, node) }},
	} {
		if took, err := timed(c.write); err != nil || took > time.Second {
			t.Errorf("%s: %v after %s", c.name, err, took)
		}
	}
}
