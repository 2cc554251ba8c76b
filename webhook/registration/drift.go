package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"

	"forewarm.dev/api/v1alpha1"
)

const (
	// gather is how long changes of the configurations are gathered.
	gather = 250 * time.Millisecond
	// truce is how long nothing is put right again after it was, so that two who disagree do not
	// race each other.
	truce = 5 * time.Second
)

// Guard has the configurations written again as soon as somebody changes or deletes one, and
// tells of it. Without it that takes until the Writer looks again. Only the leader acts, so that
// in an upgrade the versions do not fight: they are the old leader's until it leaves.
type Guard struct {
	Client kubernetes.Interface
	Target Target
	Events events.EventRecorder
	// Leading says whether this replica is the one that acts.
	Leading func() bool
	// Again has the configurations written.
	Again func()
	Log   logr.Logger
}

// Again has the configurations looked at now.
func (w *Writer) Again() {
	select {
	case w.rotated <- struct{}{}:
	default:
	}
}

// NeedLeaderElection is false: Leading tells.
func (g *Guard) NeedLeaderElection() bool { return false }

// Start guards until ctx ends.
func (g *Guard) Start(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	if err := g.watch(ctx, changed); err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for led := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			leads := g.Leading()
			if leads && !led {
				g.Again() // the former leader may have been of another version
			}
			led = leads
		case <-changed:
			g.restore(ctx)
		}
	}
}

// restore looks once changes have ended, and then rests where it had to act.
func (g *Guard) restore(ctx context.Context) {
	pause(ctx, gather)
	restored, err := g.look(ctx)
	if err != nil && ctx.Err() == nil {
		g.Log.V(1).Info("Webhook configurations are put right later", "reason", err.Error())
	}
	if restored || err != nil {
		pause(ctx, truce)
	}
}

// pause ends early with ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// look has put right what is not as it should be, and says whether anything was.
func (g *Guard) look(ctx context.Context) (restored bool, err error) {
	if !g.Leading() {
		return false, nil
	}
	disarmed, err := Disarmed(ctx, g.Client, g.Target.Namespace)
	if err != nil {
		return false, err
	}
	if disarmed {
		g.Again() // so that the Writer knows, and looks soon whether it is armed again
		return false, nil
	}
	validating, err := g.validating(ctx)
	if err != nil {
		return false, err
	}
	mutating, err := g.mutating(ctx)
	if validating || mutating {
		g.Again()
	}
	return validating || mutating, err
}

func (g *Guard) validating(ctx context.Context) (drifted bool, err error) {
	api, want := g.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations(), Validating(g.Target, nil)
	is, err := api.Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return g.missing(want, err)
	}
	drifted, foreign := drift(is.Webhooks, want.Webhooks, func(h *admissionregistrationv1.ValidatingWebhook) entry {
		return entry{h.Name, &h.ClientConfig, &h.MatchConditions}
	})
	if drifted {
		g.tell(is, "was changed")
	}
	if foreign {
		_, err = api.Patch(ctx, Name, types.MergePatchType, replacing(is.ResourceVersion, is.Webhooks), metav1.PatchOptions{FieldManager: fieldManager})
	}
	return drifted, err
}

func (g *Guard) mutating(ctx context.Context) (drifted bool, err error) {
	api, want := g.Client.AdmissionregistrationV1().MutatingWebhookConfigurations(), Mutating(g.Target, nil)
	is, err := api.Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return g.missing(want, err)
	}
	drifted, foreign := drift(is.Webhooks, want.Webhooks, func(h *admissionregistrationv1.MutatingWebhook) entry {
		return entry{h.Name, &h.ClientConfig, &h.MatchConditions}
	})
	if drifted {
		g.tell(is, "was changed")
	}
	if foreign {
		_, err = api.Patch(ctx, Name, types.MergePatchType, replacing(is.ResourceVersion, is.Webhooks), metav1.PatchOptions{FieldManager: fieldManager})
	}
	return drifted, err
}

// missing tells of a configuration that is not there.
func (g *Guard) missing(want runtime.Object, err error) (drifted bool, _ error) {
	if !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("get webhook configuration %s: %w", Name, err)
	}
	g.tell(want, "was deleted")
	return true, nil
}

// entry is what is looked at by itself of a webhook of either kind of configuration.
type entry struct {
	name       string
	config     *admissionregistrationv1.WebhookClientConfig
	conditions *[]admissionregistrationv1.MatchCondition
}

// drift says whether webhooks are not as they should be, their bundles aside. Match conditions
// that somebody added are foreign, and are taken out of what is there.
func drift[H any](is, want []H, view func(*H) entry) (drifted, foreign bool) {
	found := slices.Clone(is)
	for i := range found {
		view(&found[i]).config.CABundle = nil
		theirs := view(&is[i])
		for j := range want {
			if ours := view(&want[j]); ours.name == theirs.name && len(*theirs.conditions) > len(*ours.conditions) {
				*theirs.conditions, foreign = *ours.conditions, true
			}
		}
	}
	return !equality.Semantic.DeepEqual(found, want), foreign
}

// replacing is a merge patch that replaces all webhooks of one version of a configuration: match
// conditions that others added stay where ours are applied.
func replacing(version string, webhooks any) []byte {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": version}, "webhooks": webhooks})
	if err != nil {
		return nil // the API server has just sent them as JSON
	}
	return body
}

func (g *Guard) tell(configuration runtime.Object, what string) {
	kind := "ValidatingWebhookConfiguration"
	if _, is := configuration.(*admissionregistrationv1.MutatingWebhookConfiguration); is {
		kind = "MutatingWebhookConfiguration"
	}
	g.Log.Info("Webhook configuration is put right", "kind", kind, "what", what)
	reference := &corev1.ObjectReference{APIVersion: "admissionregistration.k8s.io/v1", Kind: kind, Name: Name}
	g.Events.Eventf(reference, nil, corev1.EventTypeWarning, v1alpha1.ReasonConfigurationRestored, "Apply",
		"%s %s %s by somebody else, and is put right; to take Forewarm out of admission, run forewarmctl disarm", kind, Name, what)
}

// watch tells changed of every change to one of the two configurations.
func (g *Guard) watch(ctx context.Context, changed chan<- struct{}) error {
	rest, named := g.Client.AdmissionregistrationV1().RESTClient(), fields.OneTermEqualSelector(metav1.ObjectNameField, Name)
	tell := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for resource, of := range map[string]runtime.Object{
		"validatingwebhookconfigurations": &admissionregistrationv1.ValidatingWebhookConfiguration{},
		"mutatingwebhookconfigurations":   &admissionregistrationv1.MutatingWebhookConfiguration{},
	} {
		informer := toolscache.NewSharedInformer(toolscache.NewListWatchFromClient(rest, resource, metav1.NamespaceAll, named), of, 0)
		handler := toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(_, now any) { tell(now) }, DeleteFunc: tell}
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch webhook configurations: %w", err)
		}
		go informer.RunWithContext(ctx)
	}
	return nil
}
