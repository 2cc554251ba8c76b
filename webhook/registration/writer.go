package registration

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
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
	client kubernetes.Interface
	target Target
	log    logr.Logger
	ready  func(context.Context) error

	rotated chan struct{}

	mu    sync.Mutex
	known []known
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
}

// NewWriter makes a Writer.
func NewWriter(o WriterOptions) *Writer {
	return &Writer{client: o.Client, target: o.Target, log: o.Log, ready: o.Ready}
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
				w.log.V(1).Info("Webhook configurations are not written yet", "reason", err.Error())
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

// Registered fails until the configurations have been written, and with a CA behind leaf.
func (w *Writer) Registered(leaf *x509.Certificate) error {
	w.mu.Lock()
	written := len(w.known) > 0
	w.mu.Unlock()
	switch {
	case !written:
		return errors.New("webhook configurations have not been written yet")
	case !w.Trusts(leaf):
		return errors.New("the API server has not been told of the CA of the serving certificate yet")
	}
	return nil
}

// Trusts says whether the API server has been told of the CA behind leaf.
func (w *Writer) Trusts(leaf *x509.Certificate) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.known, func(ca known) bool {
		return time.Since(ca.since) >= settle && leaf.CheckSignatureFrom(ca.Certificate) == nil
	})
}

// sync reads what is there, then the CA, and applies what should be there, unless it is disarmed. In this order,
// and with the resource version that was read, an old CA can never replace a newer one.
func (w *Writer) sync(ctx context.Context) (disarmed bool, err error) {
	if err := w.ready(ctx); err != nil {
		return false, err
	}
	validating, mutating, err := w.standing(ctx)
	if err != nil {
		return false, err
	}
	secret, err := w.client.CoreV1().Secrets(w.target.Namespace).Get(ctx, secretName, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("get Secret %s/%s: %w", w.target.Namespace, secretName, err)
	}
	var present []byte
	for _, hook := range validating.Webhooks {
		present = append(present, hook.ClientConfig.CABundle...)
	}
	for _, hook := range mutating.Webhooks {
		present = append(present, hook.ClientConfig.CABundle...)
	}
	bundle, authorities, err := merge(secret.Data["ca.crt"], present, time.Now())
	if err != nil {
		return false, err
	}
	if disarmed, err = Disarmed(ctx, w.client, w.target.Namespace); err != nil {
		return false, err
	}
	if disarmed {
		w.note(authorities) // ready, so that arming it finds it so
		return true, nil
	}
	if err := w.apply(ctx, bundle, validating.ResourceVersion, mutating.ResourceVersion); err != nil {
		return false, err
	}
	w.note(authorities)
	return false, nil
}

// standing are the configurations that are there, empty where there are none.
func (w *Writer) standing(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, *admissionregistrationv1.MutatingWebhookConfiguration, error) {
	configurations := w.client.AdmissionregistrationV1()
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
	configurations := w.client.AdmissionregistrationV1()

	validating := Validating(w.target, bundle)
	validating.ResourceVersion = validatingVersion
	body, err := json.Marshal(validating)
	if err != nil {
		return err
	}
	if _, err := configurations.ValidatingWebhookConfigurations().Patch(ctx, Name, types.ApplyPatchType, body, options); err != nil {
		return fmt.Errorf("apply ValidatingWebhookConfiguration %s: %w", Name, err)
	}

	mutating := Mutating(w.target, bundle)
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
func (w *Writer) note(authorities []*x509.Certificate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.known
	w.known = nil
	for _, ca := range authorities {
		now := known{ca, time.Now()}
		if i := slices.IndexFunc(before, func(k known) bool { return k.Equal(ca) }); i >= 0 {
			now = before[i]
		}
		w.known = append(w.known, now)
	}
	if len(before) != len(w.known) || !before[0].Equal(authorities[0]) {
		w.log.Info("Webhook configurations written", "name", Name, "authorities", len(authorities))
	}
}
