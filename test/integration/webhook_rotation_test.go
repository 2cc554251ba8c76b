package integration

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// long says whether FOREWARM_LONG is set. Each change is then made 20 times instead of 3, and
// replicas that end are watched doing so, which takes some six minutes.
func long() bool { return os.Getenv("FOREWARM_LONG") != "" }

func rotations() int {
	if long() {
		return 20
	}
	return 3
}

// TestRotation changes what two replicas of cmd/webhook serve with, under load: no write fails,
// and none is let through without a review.
func TestRotation(t *testing.T) {
	e := newTotalsEnv(t, cluster.Options{}, 0)
	s := newService(t, e, "", 2)
	e.counting(t, "load", map[string]string{totalReplicas: "100"})
	for _, part := range []struct {
		name  string
		times int
		run   func(*testing.T)
	}{
		{"the replicas are restarted", rotations(), s.restart},
		{"the CA is replaced", rotations(), func(t *testing.T) { s.servedUnder(t, s.replaceCA(t)) }},
		{"a replica is restarted while the CA is replaced", rotations(), func(t *testing.T) {
			ca := s.replaceCA(t)
			s.restart(t)
			s.servedUnder(t, ca)
		}},
	} {
		t.Run(part.name, func(t *testing.T) {
			load := startLoad(t, e, 200)
			defer load.stop(t) // which says what went wrong too
			for range part.times {
				part.run(t)
			}
			if long() {
				s.left(t)
			}
		})
	}
}

// restart replaces the oldest replica by a new one, as a Deployment with a surge of one does.
func (s *service) restart(t *testing.T) {
	t.Helper()
	fresh := s.start(t)
	s.await(t, fresh)
	old := s.replicas[0]
	s.replicas = append(slices.Delete(s.replicas, 0, 1), fresh)
	s.leaving = append(s.leaving, old)
	if err := syscall.Kill(old.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// left waits until the replicas that were told to end have done so, by themselves.
func (s *service) left(t *testing.T) {
	t.Helper()
	for _, r := range s.leaving {
		<-r.Done() // a second SIGTERM would cut the drain short
		if err := r.Stop(webhookWait); err != nil {
			t.Errorf("end of %s: %v", r.Name, err)
		}
	}
}

// replaceCA has the webhook make a new CA, and returns its certificate.
func (s *service) replaceCA(t *testing.T) []byte {
	t.Helper()
	secrets := kubernetes.NewForConfigOrDie(s.e.RESTConfig()).CoreV1().Secrets(v1alpha1.SystemNamespace)
	before, err := secrets.Get(t.Context(), "forewarm-webhook-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := secrets.Delete(t.Context(), before.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var ca []byte
	cluster.Eventually(t, webhookWait, func() error {
		now, err := secrets.Get(t.Context(), before.Name, metav1.GetOptions{})
		if err == nil && now.UID == before.UID {
			err = errors.New("the old CA is still there")
		}
		if err == nil {
			ca = now.Data["ca.crt"]
		}
		return err
	})
	return ca
}
