package integration

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/extender/handler"
	"forewarm.dev/test/cluster"
)

// tlsPods come while the certificate is replaced, and again while the extender ends and another takes its place.
const tlsPods = 60

// TestExtenderTLS: the scheduler calls by HTTPS and shows a certificate. The extender's own is replaced under
// load, without a failed call; who shows none, or one of another name, is refused; and when the extender is
// told to end it answers what it was asked.
func TestExtenderTLS(t *testing.T) {
	ca, dir := newWebhookCA(t), t.TempDir()
	ca.issue(t, dir)
	certificate, key := ca.sign(t, "system:kube-scheduler", false)
	e := &extenderEnv{address: loopAddress(t)}
	entry := handler.SchedulerEntry("https://"+e.address, string(cluster.GPU))
	entry.EnableHTTPS, entry.Ignorable = true, false // so that a call that fails is seen
	entry.TLSConfig = &configv1.ExtenderTLSConfig{CertData: certificate, KeyData: key, CAData: ca.pem()}
	e.serving = fmt.Sprintf("serving: {certFile: %q, keyFile: %q}, clientCA: {file: %q, names: [%q]}",
		filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt"), "system:kube-scheduler")
	e.Cluster = cluster.ForTest(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, SchedulerExtenders: []configv1.Extender{entry},
		StaticNodes: []cluster.NodeTemplate{extenderNodes("plain", 2*tlsPods/8+1)},
	})
	e.install(t)

	t.Run("others are refused", func(t *testing.T) {
		if _, err := e.filterAs(t, ca, nil); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("without a certificate: %v", err)
		}
		if status, err := e.filterAs(t, ca, pair(t, ca, "system:kube-controller-manager")); err != nil || status != http.StatusForbidden {
			t.Errorf("with another's certificate: %d, %v, want 403", status, err)
		}
	})
	t.Run("the certificate is replaced", func(t *testing.T) {
		old, err := os.ReadFile(filepath.Join(dir, "tls.crt"))
		if err != nil {
			t.Fatal(err)
		}
		failed := e.tlsBurst(t, "replaced", func() { ca.issue(t, dir) }, func() {})
		cluster.Eventually(t, extenderWait, func() error {
			serves, err := e.serves(ca, pair(t, ca, "system:kube-scheduler"))
			if err == nil && serves == string(old) {
				err = errors.New("the extender still serves the certificate of before")
			}
			return err
		})
		if len(failed) > 0 {
			t.Errorf("%d calls failed, the first: %s", len(failed), failed[0])
		}
		if got := e.requests(t); got["filter ok"] < tlsPods {
			t.Errorf("%v calls of filter for %d pods", got, tlsPods)
		}
	})
	t.Run("the extender is replaced", func(t *testing.T) {
		failed := e.tlsBurst(t, "ended", func() {
			if err := e.process.Stop(10 * time.Second); err != nil {
				t.Errorf("it ended with %v; its log:\n%s", err, e.process.Log())
			}
		}, func() { e.start(t) })
		if len(failed) == 0 {
			t.Error("nobody was called while the extender was away, so that this shows nothing")
		}
		for _, line := range failed {
			if !strings.Contains(line, "connection refused") {
				t.Errorf("a call was broken off: %s", line)
			}
		}
	})
}

// tlsBurst creates pods, a third of them before something is done, one beside it and one after it; then it does what
// is last, waits until all are bound, and returns what the scheduler said meanwhile of calls that were not answered.
func (e *extenderEnv) tlsBurst(t *testing.T, name string, beside, last func()) (failed []string) {
	t.Helper()
	watching, err := client.NewWithWatch(e.RESTConfig(), client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	events, err := watching.Watch(t.Context(), &corev1.PodList{}, client.InNamespace("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	var done sync.WaitGroup
	for i := range tlsPods {
		switch i {
		case tlsPods / 3:
			done.Go(beside)
		case 2 * tlsPods / 3:
			done.Wait()
		}
		if err := e.Client.Create(t.Context(), extenderPod("web", fmt.Sprint(name, "-", i), "plain", 1)); err != nil {
			t.Fatal(err)
		}
	}
	last()
	bound, timeout := map[string]bool{}, time.After(extenderWait)
	for len(bound) < tlsPods {
		select {
		case <-timeout:
			t.Fatalf("%d of %d pods are bound", len(bound), tlsPods)
		case event, open := <-events.ResultChan():
			pod, ok := event.Object.(*corev1.Pod)
			if !open || !ok {
				t.Fatalf("the watch of pods ended: %v", event.Object)
			}
			if !strings.HasPrefix(pod.Name, name) {
				continue
			}
			if message := extenderCondition(pod); strings.Contains(message, "https://") {
				failed = append(failed, message)
			}
			if pod.Spec.NodeName != "" {
				bound[pod.Name] = true
			}
		}
	}
	return failed
}

// pair is a client's certificate.
func pair(t *testing.T, ca *webhookCA, name string) *tls.Certificate {
	t.Helper()
	certificate, key := ca.sign(t, name, false)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// dial connects to the extender, with a certificate if there is one.
func dial(ca *webhookCA, shows *tls.Certificate) *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	settings := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if shows != nil {
		settings.Certificates = []tls.Certificate{*shows}
	}
	return &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}
}

// filterAs asks for a filter of nothing.
func (e *extenderEnv) filterAs(t *testing.T, ca *webhookCA, shows *tls.Certificate) (status int, err error) {
	t.Helper()
	caller := &http.Client{Transport: dial(ca, shows), Timeout: extenderWait}
	response, err := caller.Post("https://"+e.address+"/filter", "application/json", strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// serves is the certificate that the extender shows, as PEM.
func (e *extenderEnv) serves(ca *webhookCA, shows *tls.Certificate) (string, error) {
	connection, err := tls.Dial("tcp", e.address, dial(ca, shows).TLSClientConfig)
	if err != nil {
		return "", err
	}
	return string(pemOf(connection.ConnectionState().PeerCertificates[0])), connection.Close()
}
