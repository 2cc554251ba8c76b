package registration

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"forewarm.dev/api/v1alpha1"
)

const (
	fieldManager = "forewarm-webhook"
	// resync is how often the configurations are put right where somebody changed them.
	resync = time.Minute
	// whileDisarmed is how soon a webhook that was disarmed looks whether it is armed again.
	whileDisarmed = 5 * time.Second
	// retry is how soon a failed write is tried again.
	retry = time.Second
	// settle is how long API servers get to see a new bundle before a leaf relies on it.
	settle = 2 * time.Second
)

// Writer keeps the webhook configurations as they should be. Replicas do not fight: they
// all apply the same bytes, and a write that would undo another's newer bundle conflicts.
type Writer struct {
	WriterOptions
	rotated chan struct{}

	mu       sync.Mutex
	known    []known
	disarmed bool
}

// known is a CA that the API server has been told of.
type known struct {
	*x509.Certificate
	since time.Time
}

// WriterOptions say what a Writer needs.
type WriterOptions struct {
	Client kubernetes.Interface
	Target Target
	Log    logr.Logger
	// Ready fails until the webhook can serve; nothing is written before.
	Ready func(context.Context) error
	// CA is the CA of what is served; nil means that somebody else keeps the bundles.
	CA *CA
}

// CA is the one behind the serving certificate.
type CA struct {
	// Read returns it as PEM.
	Read func(context.Context) ([]byte, error)
	// Overlap is how long certificates of a former one may be served after it came; zero is
	// as long as they are valid.
	Overlap time.Duration
}

// FileCA is a CA, or several, in a file.
func FileCA(path string) *CA {
	return &CA{Read: func(context.Context) ([]byte, error) { return os.ReadFile(path) }}
}

// SecretCA is the CA of [Certificate], which is read from where replicas share it.
func SecretCA(client kubernetes.Interface, namespace string) *CA {
	return &CA{Overlap: leafDuration, Read: func(ctx context.Context) ([]byte, error) {
		secret, err := client.CoreV1().Secrets(namespace).Get(ctx, secretName, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("get Secret %s/%s: %w", namespace, secretName, err)
		}
		return secret.Data["ca.crt"], nil
	}}
}

// NewWriter makes a Writer.
func NewWriter(o WriterOptions) *Writer {
	return &Writer{WriterOptions: o, rotated: make(chan struct{}, 1)}
}

// Start writes the configurations once the webhook is ready, and keeps them until ctx ends.
func (w *Writer) Start(ctx context.Context) error {
	for {
		wait := resync
		if disarmed, err := w.sync(ctx); disarmed {
			wait = whileDisarmed
		} else if err != nil {
			wait = retry
			if ctx.Err() == nil {
				w.Log.V(1).Info("Webhook configurations are not written yet", "reason", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.rotated:
		case <-time.After(wait):
		}
	}
}

// NeedLeaderElection is false: every replica writes.
func (w *Writer) NeedLeaderElection() bool { return false }

// Registered fails until the configurations have been written, and with a CA behind chain.
func (w *Writer) Registered(chain []*x509.Certificate) error {
	w.mu.Lock()
	written, disarmed := w.known != nil, w.disarmed
	w.mu.Unlock()
	switch {
	case disarmed:
		return nil
	case !written:
		return errors.New("webhook configurations have not been written yet")
	case w.Trusts(chain):
		return nil
	case w.CA == nil:
		return fmt.Errorf("the caBundles of webhook configurations %s lack the CA of the serving certificate; cert-manager's cainjector copies it from Certificate %s: does it run, and is that Certificate ready?", Name, w.Target.InjectCAFrom)
	default:
		return errors.New("the API server has not been told of the CA of the serving certificate yet")
	}
}

// Trusts says whether the API server has been told of the CA behind chain, a certificate with
// its intermediates. Where it has not, it is looked at again soon.
func (w *Writer) Trusts(chain []*x509.Certificate) bool {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range chain[1:] {
		intermediates.AddCert(ca)
	}
	w.mu.Lock()
	for _, ca := range w.known {
		if time.Since(ca.since) >= settle {
			roots.AddCert(ca.Certificate)
		}
	}
	w.mu.Unlock()
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
	if err != nil {
		w.Again()
	}
	return err == nil
}

// sync reads what is there, then the CA, and applies what should be there, unless it is disarmed.
// In this order, and with the resource version that was read, an old CA can never replace a newer
// one.
func (w *Writer) sync(ctx context.Context) (disarmed bool, err error) {
	if err := w.Ready(ctx); err != nil {
		return false, err
	}
	validating, mutating, err := w.standing(ctx)
	if err != nil {
		return false, err
	}
	bundle, authorities, err := w.bundle(ctx, bundles(validating, mutating))
	if err != nil {
		return false, err
	}
	if disarmed, err = Disarmed(ctx, w.Client, w.Target.Namespace); err != nil {
		return false, err
	}
	if !disarmed {
		if err := w.apply(ctx, bundle, validating.ResourceVersion, mutating.ResourceVersion); err != nil {
			return false, err
		}
		if w.CA == nil { // what was there may have been ours, and gone with what was applied
			if validating, mutating, err = w.standing(ctx); err != nil {
				return false, err
			}
			authorities = common(bundles(validating, mutating))
		}
	}
	w.note(authorities, disarmed) // where it is disarmed too, so that arming finds it ready
	return disarmed, nil
}

// bundle is what every entry should have, and the CAs in it; nothing where it is not ours to
// write.
func (w *Writer) bundle(ctx context.Context, present [][]byte) ([]byte, []*x509.Certificate, error) {
	if w.CA == nil {
		return nil, nil, nil
	}
	data, err := w.CA.Read(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read the CA: %w", err)
	}
	current := parse(data)
	if len(current) == 0 {
		return nil, nil, errors.New("the CA that was read holds no PEM certificate")
	}
	return merge(current, bytes.Join(present, nil), w.CA.Overlap, time.Now())
}

// bundles are those of every entry.
func bundles(validating *admissionregistrationv1.ValidatingWebhookConfiguration, mutating *admissionregistrationv1.MutatingWebhookConfiguration) [][]byte {
	var out [][]byte
	for _, hook := range validating.Webhooks {
		out = append(out, hook.ClientConfig.CABundle)
	}
	for _, hook := range mutating.Webhooks {
		out = append(out, hook.ClientConfig.CABundle)
	}
	return out
}

// standing are the configurations that are there, empty where there are none.
func (w *Writer) standing(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, *admissionregistrationv1.MutatingWebhookConfiguration, error) {
	configurations := w.Client.AdmissionregistrationV1()
	validating, err := configurations.ValidatingWebhookConfigurations().Get(ctx, Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("get ValidatingWebhookConfiguration %s: %w", Name, err)
	}
	mutating, err := configurations.MutatingWebhookConfigurations().Get(ctx, Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, fmt.Errorf("get MutatingWebhookConfiguration %s: %w", Name, err)
	}
	return validating, mutating, nil
}

func (w *Writer) apply(ctx context.Context, bundle []byte, validatingVersion, mutatingVersion string) error {
	options := metav1.PatchOptions{FieldManager: fieldManager, Force: new(true)}
	configurations := w.Client.AdmissionregistrationV1()

	validating := Validating(w.Target, bundle)
	validating.ResourceVersion = validatingVersion
	body, err := json.Marshal(validating)
	if err != nil {
		return err
	}
	if _, err := configurations.ValidatingWebhookConfigurations().Patch(ctx, Name, types.ApplyPatchType, body, options); err != nil {
		return fmt.Errorf("apply ValidatingWebhookConfiguration %s: %w", Name, err)
	}

	mutating := Mutating(w.Target, bundle)
	mutating.ResourceVersion = mutatingVersion
	if body, err = json.Marshal(mutating); err != nil {
		return err
	}
	if _, err := configurations.MutatingWebhookConfigurations().Patch(ctx, Name, types.ApplyPatchType, body, options); err != nil {
		return fmt.Errorf("apply MutatingWebhookConfiguration %s: %w", Name, err)
	}
	return nil
}

// Disarmed says whether somebody took Forewarm out of admission, with forewarmctl disarm. It is
// a ConfigMap, so that it outlives every process.
func Disarmed(ctx context.Context, client kubernetes.Interface, namespace string) (bool, error) {
	_, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, v1alpha1.DisarmedConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get ConfigMap %s/%s: %w", namespace, v1alpha1.DisarmedConfigMap, err)
	}
	return true, nil
}

// note remembers whom the API server trusts now, and since when.
func (w *Writer) note(authorities []*x509.Certificate, disarmed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disarmed = disarmed
	before, changed := w.known, len(authorities) != len(w.known)
	w.known = []known{}
	for _, ca := range authorities {
		now := known{ca, time.Now()}
		if i := slices.IndexFunc(before, func(k known) bool { return k.Equal(ca) }); i >= 0 {
			now = before[i]
		} else {
			changed = true
		}
		w.known = append(w.known, now)
	}
	if changed {
		w.Log.Info("Webhook configurations written", "name", Name, "authorities", len(authorities))
	}
}
