package integration

import (
	"fmt"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// reliabilityCrowd: 6,000 connections from elsewhere, on which nothing is ever said, take none from the API server,
// whose writes are reviewed as before, and no more than 4,096 stay.
func reliabilityCrowd(t *testing.T, e *reliabilityEnv) {
	ctx := t.Context()
	if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "crowded"}}); err != nil {
		t.Fatal(err)
	}
	above := func() error {
		return webhookDenied(e.Client.Create(ctx, webhookWorkload("Deployment", "crowded", "web", 6, "5"), client.DryRunAll))
	}
	cluster.Eventually(t, webhookWait, above)
	failedBefore := e.metric(t, `apiserver_admission_webhook_fail_open_count{[^}]*}`)
	for replica := range e.replicas {
		_, address := e.direct(replica)
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 10 * time.Second}
		const crowd, most = 6000, 4096
		closed := make(chan struct{}, crowd)
		for i := range crowd {
			connection, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			defer func() { _ = connection.Close() }()
			go func() {
				_, _ = connection.Read(make([]byte, 1))
				closed <- struct{}{}
			}()
			if i%60 == 0 {
				if err := above(); err != nil {
					t.Errorf("after %d connections: %v", i, err)
				}
			}
		}
		cluster.Eventually(t, webhookWait, func() error {
			if n := len(closed); n < crowd-most {
				return fmt.Errorf("%d of %d were closed, want %d", n, crowd, crowd-most)
			}
			return nil
		})
		if status := e.replicas[replica].ready(); status != 200 {
			t.Errorf("afterwards readiness is %d", status)
		}
	}
	if failed := e.metric(t, `apiserver_admission_webhook_fail_open_count{[^}]*}`) - failedBefore; failed != 0 {
		t.Errorf("%v reviews failed open", failed)
	}
}
