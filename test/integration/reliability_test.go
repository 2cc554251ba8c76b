package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

// reliabilityEnv is a control plane without any node, with two replicas of cmd/webhook.
type reliabilityEnv struct {
	*totalsEnv
	auditLog string
}

// TestReliability holds the rules of docs/reliability.md on a real API server. The parts run in
// this order, since the last ones take the webhook away.
func TestReliability(t *testing.T) {
	ctrl.SetLogger(logr.Discard()) // clients of this process would say that there is none
	log := filepath.Join(t.TempDir(), "audit.log")
	e := &reliabilityEnv{auditLog: log, totalsEnv: newTotalsEnv(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true, NodeBootDelay: time.Second, AuditLog: log,
	}, 2)}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *reliabilityEnv)
	}{
		{"only growth is asked about", reliabilityIncreaseOnly},
		{"what somebody changes in our configurations is put back", reliabilityDrift},
		{"size leads past no ceiling", reliabilityLarge},
		{"bodies, slow clients and crowds are bounded", reliabilityBounds},
		{"a crowd that only connects keeps nobody out", reliabilityCrowd},
		{"a panic leaves the verdict to failurePolicy", reliabilityPanic},
		{"another webhook changes the pod after us", reliabilityReinvoked},
		{"our rights are these and no more", reliabilityRights},
		{"our requests have a priority level of their own", reliabilityPriority},
		{"the audit log says why", reliabilityAuditLog},
		{"what stands above its ceiling is told", reliabilityAuditor},
		{"a replica that hangs", reliabilityHang},
		{"a replica drains under load", reliabilityDrain},
		{"all replicas are dead, and there is no node", reliabilityNoNode},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

// calls is how often the API server has called entries of ours whose name has a suffix.
func (e *reliabilityEnv) calls(t *testing.T, suffix string) int {
	t.Helper()
	return int(e.metric(t, `apiserver_admission_webhook_request_total{[^}]*name="[^"]*`+regexp.QuoteMeta(suffix)+`"[^}]*}`))
}

// metric is the sum of the samples of the API server that a pattern matches.
func (e *reliabilityEnv) metric(t *testing.T, pattern string) float64 {
	t.Helper()
	response, err := e.HTTPClient().Get(e.EndpointOf(assets.APIServer).Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	line, sum := regexp.MustCompile(`^`+pattern+` ([0-9.e+]+)$`), 0.0
	for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
		if match := line.FindStringSubmatch(scanner.Text()); match != nil {
			n, err := strconv.ParseFloat(match[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// reliabilityIncreaseOnly: what grows costs one call, all else none.
func reliabilityIncreaseOnly(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "calls"}}); err != nil {
		t.Fatal(err)
	}
	o := webhookWorkload("Deployment", "calls", "web", 3, "5")
	cluster.Eventually(t, webhookWait, func() error {
		if err := webhookDenied(e.Client.Create(ctx, webhookWorkload("Deployment", "calls", "web", 6, "5"), client.DryRunAll)); err != nil {
			return err
		}
		return nil
	})
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	label := func() error {
		return e.Client.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"at":"%d"}}}`, time.Now().UnixNano())))
	}
	for _, c := range []struct {
		name, entry string
		write       func() error
		want        int
	}{
		{"scale up", "scale.ceilings.forewarm.dev", func() error { return webhookScale(ctx, e.Client, o, 4) }, 1},
		{"scale down", ".forewarm.dev", func() error { return webhookScale(ctx, e.Client, o, 2) }, 0},
		{"scale to zero", ".forewarm.dev", func() error { return webhookScale(ctx, e.Client, o, 0) }, 0},
		{"a label", ".forewarm.dev", label, 0},
		{"update to more", "workloads.ceilings.forewarm.dev", func() error { return webhookWays["merge patch"](ctx, e.Client, o, 1) }, 1},
		{"a pod without GPUs", ".forewarm.dev", func() error { return e.Client.Create(ctx, webhookPod("calls", "plain", 0), client.DryRunAll) }, 0},
		{"a system pod", ".forewarm.dev", func() error {
			return e.Client.Create(ctx, webhookPod(metav1.NamespaceSystem, "gpu", 1), client.DryRunAll)
		}, 0},
	} {
		// Controllers, too, write: their ReplicaSets are asked about, and not counted here. Those
		// are read first and last, so that one that comes meanwhile is not taken for another's.
		owned := e.calls(t, "workloads.ceilings.forewarm.dev")
		before := e.calls(t, c.entry)
		if err := c.write(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := e.calls(t, c.entry) - before
		if c.want == 0 {
			got -= e.calls(t, "workloads.ceilings.forewarm.dev") - owned
		}
		if (c.want == 0 && got > 0) || (c.want > 0 && got < c.want) { // below zero: one came between the last two readings
			t.Errorf("%s: %d calls, want %d", c.name, got, c.want)
		}
	}
}

// reliabilityDrift: deleted, failing closed, or blind by a condition that is never true.
func reliabilityDrift(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	key := client.ObjectKey{Name: "forewarm"}
	validating, mutating := &admissionregistrationv1.ValidatingWebhookConfiguration{}, &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := e.Client.Get(ctx, key, validating); err != nil {
		t.Fatal(err)
	}
	if err := e.Client.Get(ctx, key, mutating); err != nil {
		t.Fatal(err)
	}
	wantValidating, wantMutating := validating.DeepCopy(), mutating.DeepCopy()
	restored := func(what string) {
		t.Helper()
		cluster.Eventually(t, 20*time.Second, func() error {
			validating, mutating := &admissionregistrationv1.ValidatingWebhookConfiguration{}, &admissionregistrationv1.MutatingWebhookConfiguration{}
			if err := e.Client.Get(ctx, key, validating); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if err := e.Client.Get(ctx, key, mutating); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if diff := cmp.Diff(wantValidating.Webhooks, validating.Webhooks) + cmp.Diff(wantMutating.Webhooks, mutating.Webhooks); diff != "" {
				return fmt.Errorf("%s: not put back:\n%s", what, diff)
			}
			return nil
		})
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].FailurePolicy = new(admissionregistrationv1.Fail)
		validating.Webhooks[i].ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"never": "there"}}
		validating.Webhooks[i].MatchConditions = append(validating.Webhooks[i].MatchConditions, admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"})
	}
	if err := e.Client.Update(ctx, validating); err != nil {
		t.Fatal(err)
	}
	restored("an edit of all validating entries")
	mutating.Webhooks = mutating.Webhooks[1:]
	if err := e.Client.Update(ctx, mutating); err != nil {
		t.Fatal(err)
	}
	restored("a mutating entry removed")
	for _, o := range []client.Object{validating, mutating} {
		if err := e.Client.Delete(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	restored("both deleted")
	cluster.Eventually(t, webhookWait, func() error {
		// Further ones about the same object only count up the first.
		for _, what := range []string{"ValidatingWebhookConfiguration forewarm was changed", "MutatingWebhookConfiguration forewarm was changed"} {
			if err := e.event(ctx, "default", v1alpha1.ReasonConfigurationRestored, what); err != nil {
				return err
			}
		}
		return nil
	})
}

// event fails where there is none with a reason and a note.
func (e *totalsEnv) event(ctx context.Context, namespace, reason, note string) error {
	var list eventsv1.EventList
	if err := e.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return err
	}
	for _, event := range list.Items {
		if event.Reason == reason && strings.Contains(event.Note, note) {
			return nil
		}
	}
	return fmt.Errorf("no event %s that says %q among %d", reason, note, len(list.Items))
}

// reliabilityLarge: a Job of more than a megabyte, of which JSON makes eight, is reviewed as
// any other. The twin holds no totals, so that it is the webhook which refuses.
func reliabilityLarge(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	e.counting(t, "large", map[string]string{totalReplicas: "4"})
	job := func(name string, parallelism int32, padding int) *batchv1.Job {
		pod := webhookPod("large", name, 0)
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PADDING", Value: strings.Repeat("<", padding)}}
		pod.Spec.NodeSelector = map[string]string{"none": "none"}
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "large", Name: name}, Spec: batchv1.JobSpec{
			Parallelism: &parallelism, Completions: new(int32(100)), Template: corev1.PodTemplateSpec{Spec: pod.Spec},
		}}
	}
	cluster.Eventually(t, webhookWait, func() error { return webhookDenied(e.Client.Create(ctx, job("small", 5, 10)), "at most 4") })
	const most = 1_300_000
	if err := webhookDenied(e.Client.Create(ctx, job("large", 5, most)), "at most 4"); err != nil {
		t.Errorf("create: %v", err)
	}
	large := job("large", 1, most)
	large.Spec.Suspend = new(true)
	if err := e.Client.Create(ctx, large); err != nil {
		t.Fatal(err)
	}
	grow := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"parallelism":5,"suspend":false}}`))
	if err := webhookDenied(e.Client.Patch(ctx, large.DeepCopy(), grow), "at most 4"); err != nil {
		t.Errorf("update, with two of them in the review: %v", err)
	}
	if err := e.Client.Delete(ctx, large, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Error(err)
	}
}

// direct is a client of a replica's own port, and its address.
func (e *reliabilityEnv) direct(replica int) (*http.Client, string) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 100}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}, fmt.Sprintf("127.0.0.1:%d", e.balancer.Ports()[replica])
}

// reliabilityBounds speaks to a replica as anybody could who reaches its port.
func reliabilityBounds(t *testing.T, e *reliabilityEnv) {
	http, address := e.direct(0)
	slow := make(chan error, 1)
	go func() { slow <- slowloris(address) }()

	post := func(body io.Reader) (int, error) {
		response, err := http.Post("https://"+address+"/ceilings", "application/json", body)
		if err != nil {
			return 0, err
		}
		defer func() { _ = response.Body.Close() }()
		_, err = io.Copy(io.Discard, response.Body)
		return response.StatusCode, err
	}
	review := []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","resource":{"group":"apps","version":"v1","resource":"deployments"},` +
		`"namespace":"large","name":"web","operation":"CREATE","object":{"spec":{"replicas":4}}}}`)
	if code, err := post(bytes.NewReader(append(bytes.Repeat([]byte(" "), 26<<20), review...))); code != 413 {
		t.Errorf("26 MiB: HTTP %d (%v), want 413", code, err)
	}
	if code, err := post(bytes.NewReader(append(bytes.Repeat([]byte(" "), 8<<20), review...))); code != 200 {
		t.Errorf("8 MiB: HTTP %d (%v), want 200", code, err)
	}
	var group sync.WaitGroup
	var served, refused atomic.Int64
	for range 1000 {
		group.Go(func() {
			switch code, err := post(bytes.NewReader(review)); code {
			case 200:
				served.Add(1)
			case 503:
				refused.Add(1)
			default:
				t.Errorf("one of 1,000 at once: HTTP %d, %v", code, err)
			}
		})
	}
	group.Wait()
	t.Logf("1,000 at once: %d served, %d turned away", served.Load(), refused.Load())
	if served.Load() < 200 {
		t.Errorf("%d of 1,000 were served", served.Load())
	}
	if err := <-slow; err != nil {
		t.Error(err)
	}
	if status := e.replicas[0].ready(); status != 200 {
		t.Errorf("afterwards readiness is %d", status)
	}
}

// slowloris sends a body byte by byte, and fails where that is let go on. A header may take as
// long as a connection may rest (ADR 11).
func slowloris(address string) error {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "POST /ceilings HTTP/1.1\r\nHost: forewarm\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		ended <- err
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if timeout, is := err.(net.Error); is && timeout.Timeout() {
				return fmt.Errorf("a client that sends its body byte by byte was still served after 20 s")
			}
			return nil
		case <-tick.C:
			_, _ = conn.Write([]byte("x"))
		}
	}
}

// reliabilityAuditLog: what is let through above a ceiling, and what is changed, leaves the reason.
func reliabilityAuditLog(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	for name, annotations := range map[string]map[string]string{
		"audited": {v1alpha1.AnnotationMaxReplicas: "1", "forewarm.dev/ceiling-mode": "audit"}, "overruled": {v1alpha1.AnnotationMaxReplicas: "1"},
		"clamped": {v1alpha1.AnnotationMaxReplicas: "1"},
	} {
		if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}); err != nil {
			t.Fatal(err)
		}
	}
	// The policies know an override once it is stored: they have no clock to read it by.
	overrides := webhookWorkload("Deployment", "overruled", "web", 1, "")
	overrides.SetAnnotations(map[string]string{"forewarm.dev/ceiling-override": "9 until 2999-01-01T00:00:00Z: load test"})
	if err := e.Client.Create(ctx, overrides); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		for _, o := range []client.Object{webhookWorkload("Deployment", "audited", "web", 3, ""), autoscalerOf("clamped", 1)} {
			if err := e.Client.Create(ctx, o, client.DryRunAll); err != nil {
				return err
			}
		}
		if err := e.Client.Patch(ctx, overrides.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":3}}`)), client.DryRunAll); err != nil {
			return err
		}
		log, err := os.ReadFile(e.auditLog)
		if err != nil {
			return err
		}
		for _, want := range []string{
			`"workloads.ceilings.forewarm.dev/reason":"AboveCeiling"`,
			`"workloads.ceilings.forewarm.dev/override":"9 until 2999-01-01T00:00:00Z: load test"`, `"workloads.ceilings.forewarm.dev/reason":"Overridden"`,
			`"autoscalers.clamps.forewarm.dev/clamped-from":"9"`, `"autoscalers.clamps.forewarm.dev/clamped-to":"1"`,
		} {
			if !bytes.Contains(log, []byte(want)) {
				return fmt.Errorf("the audit log has no %s", want)
			}
		}
		return nil
	})
}

// reliabilityAuditor: an object that was there before its ceiling is told within 30 s, once.
func reliabilityAuditor(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "drifted"}}); err != nil {
		t.Fatal(err)
	}
	o := webhookWorkload("StatefulSet", "drifted", "big", 7, "")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	if err := e.Client.Patch(ctx, o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"forewarm.dev/max-replicas":"2"}}}`))); err != nil {
		t.Fatal(err)
	}
	set := time.Now()
	cluster.Eventually(t, webhookWait, func() error {
		return e.event(ctx, "drifted", v1alpha1.ReasonStandsAboveCeiling, "asks for 7 replicas, at most 2 allowed")
	})
	t.Logf("told after %s", time.Since(set).Round(100*time.Millisecond))
	if took := time.Since(set); took > 30*time.Second {
		t.Errorf("told after %s, want 30 s", took)
	}
	// A Node is refused by nobody: that there are too many is told.
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}
	maxNodes := func(value string) {
		if err := e.Client.Patch(ctx, system.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"forewarm.dev/max-nodes":`+value+`}}}`))); err != nil {
			t.Fatal(err)
		}
	}
	maxNodes(`"1"`)
	for i := range 2 {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("bare-%d", i)}}
		if err := e.Client.Create(ctx, node); err != nil {
			t.Errorf("a Node above the ceiling: %v", err)
		}
		defer func() { _ = e.Client.Delete(ctx, node) }()
	}
	cluster.Eventually(t, webhookWait, func() error {
		return e.event(ctx, "default", v1alpha1.ReasonStandsAboveCeiling, "2 Nodes stand, at most 1 allowed by annotation forewarm.dev/max-nodes")
	})
	maxNodes("null")
}
